"""Reason codes: what a feature's contribution means to a person; similar features share a code."""

from collections.abc import Mapping

from features.definition import FeatureSet
from features.statistic import Instant, Windowed

CODES: Mapping[Instant | Windowed, str] = {
    Instant.AMOUNT: "amount",
    Instant.IS_REFUND: "amount",
    Instant.IS_WHOLE: "round_amount",
    Instant.IS_WHOLE_TENS: "round_amount",
    Instant.HOUR: "time_of_day",
    Instant.WEEKDAY: "time_of_week",
    Instant.IS_WEEKEND: "time_of_week",
    Instant.IS_NIGHT: "time_of_day",
    Instant.IS_HOLIDAY: "time_of_week",
    Instant.IS_ONLINE: "channel",
    Instant.IS_CONTACTLESS: "channel",
    Instant.IS_ATM: "channel",
    Instant.CATEGORY: "merchant_category",
    Instant.IS_CASH_LIKE: "merchant_category",
    Instant.SECONDS_SINCE_LAST: "rhythm",
    Instant.SECONDS_SINCE_SAME_MERCHANT: "merchant_habit",
    Instant.IS_FIRST_MERCHANT: "new_merchant",
    Instant.IS_FIRST_DEVICE: "new_device",
    Instant.IS_FIRST_COUNTRY: "new_country",
    Instant.IS_FIRST_CATEGORY: "new_category",
    Instant.DISTANCE_KM: "distance",
    Instant.SPEED_KMH: "impossible_travel",
    Instant.HAS_COUNTRY_CHANGED: "new_country",
    Instant.DAYS_KNOWN: "short_history",
    Windowed.COUNT: "velocity",
    Windowed.SUM: "spend_in_window",
    Windowed.MEAN: "spend_level",
    Windowed.MAX: "spend_level",
    Windowed.STD: "spend_level",
    Windowed.MERCHANTS: "many_merchants",
    Windowed.DEVICES: "many_devices",
    Windowed.COUNTRIES: "many_countries",
    Windowed.NIGHT_SHARE: "unusual_hour",
    Windowed.NIGHT_SURPRISE: "unusual_hour",
    Windowed.COUNT_ONLINE: "online_velocity",
    Windowed.COUNT_CASH: "cash_velocity",
    Windowed.COUNT_SMALL: "small_tests",
    Windowed.COUNT_SAME_MERCHANT: "merchant_habit",
    Windowed.RATIO_TO_MEAN: "unusual_amount",
    Windowed.Z_SCORE: "unusual_amount",
    Windowed.RANK: "unusual_amount",
    Windowed.RATIO_TO_MIN: "test_then_drain",
}


def reason_codes(feature_set: FeatureSet) -> tuple[str, ...]:
    """A code per feature, in vector order; a statistic without one gives its own name."""
    return tuple(
        CODES.get(feature.statistic, feature.statistic.name.lower())
        for feature in feature_set.features
    )
