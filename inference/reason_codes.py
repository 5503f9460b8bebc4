"""Reason codes: what a feature's contribution means to a person; similar features share a code."""

from collections.abc import Mapping

from features.definition import FeatureSet
from features.feature import Feature

CODES: Mapping[str, str] = {
    "amount": "amount",
    "is_refund": "amount",
    "is_whole": "round_amount",
    "is_whole_tens": "round_amount",
    "hour": "time_of_day",
    "weekday": "time_of_week",
    "is_weekend": "time_of_week",
    "is_night": "time_of_day",
    "is_holiday": "time_of_week",
    "is_online": "channel",
    "is_contactless": "channel",
    "is_atm": "channel",
    "category": "merchant_category",
    "is_cash_like": "merchant_category",
    "seconds_since_last": "rhythm",
    "seconds_since_same_merchant": "merchant_habit",
    "is_first_merchant": "new_merchant",
    "is_first_device": "new_device",
    "is_first_country": "new_country",
    "is_first_category": "new_category",
    "distance_km": "distance",
    "speed_kmh": "impossible_travel",
    "has_country_changed": "new_country",
    "days_known": "short_history",
    "count": "velocity",
    "sum": "spend_in_window",
    "mean": "spend_level",
    "max": "spend_level",
    "std": "spend_level",
    "merchants": "many_merchants",
    "devices": "many_devices",
    "countries": "many_countries",
    "night_share": "unusual_hour",
    "night_surprise": "unusual_hour",
    "count_online": "online_velocity",
    "count_cash": "cash_velocity",
    "count_small": "small_tests",
    "count_same_merchant": "merchant_habit",
    "ratio_to_mean": "unusual_amount",
    "z_score": "unusual_amount",
    "rank": "unusual_amount",
    "ratio_to_min": "test_then_drain",
    "cards": "many_cards",
    "amount_to_mean": "unusual_for_merchant",
    "frauds": "merchant_risk",
    "fraud_risk": "merchant_risk",
}
BUSY = {"merchant": "busy_merchant", "device": "busy_device", "ip_prefix": "busy_network"}
"""What volume says depends on whose it is."""
"""Statistic to code."""


def reason_codes(feature_set: FeatureSet) -> tuple[str, ...]:
    """A code per feature, in vector order; a statistic without one gives its own name."""
    return tuple(map(_code, feature_set.features))


def _code(feature: Feature) -> str:
    statistic = feature.statistic.name.lower()
    if statistic in ("count", "sum") and feature.entity in BUSY:
        return BUSY[feature.entity]
    return CODES.get(statistic, statistic)
