"""The statistics that a feature can be made of, each with its code in the kernel."""

from enum import IntEnum


class Instant(IntEnum):
    """A number of the event itself, or of the event against what its card remembers."""

    AMOUNT = 0
    IS_REFUND = 1
    IS_WHOLE = 2
    IS_WHOLE_TENS = 3
    HOUR = 4
    WEEKDAY = 5
    IS_WEEKEND = 6
    IS_NIGHT = 7
    IS_HOLIDAY = 8
    IS_ONLINE = 9
    IS_CONTACTLESS = 10
    IS_ATM = 11
    CATEGORY = 12
    IS_CASH_LIKE = 13
    SECONDS_SINCE_LAST = 14
    SECONDS_SINCE_SAME_MERCHANT = 15
    IS_FIRST_MERCHANT = 16
    IS_FIRST_DEVICE = 17
    IS_FIRST_COUNTRY = 18
    IS_FIRST_CATEGORY = 19
    DISTANCE_KM = 20
    SPEED_KMH = 21
    HAS_COUNTRY_CHANGED = 22
    DAYS_KNOWN = 23


INSTANTS = len(Instant)


class Windowed(IntEnum):
    """A number of the card's events in a window `(t - w, t]`, this event included."""

    COUNT = 0
    SUM = 1
    MEAN = 2
    MAX = 3
    STD = 4
    MERCHANTS = 5
    DEVICES = 6
    COUNTRIES = 7
    NIGHT_SHARE = 8
    COUNT_ONLINE = 9
    COUNT_CASH = 10
    COUNT_SMALL = 11
    COUNT_SAME_MERCHANT = 12
    RATIO_TO_MEAN = 13
    Z_SCORE = 14
    RANK = 15
    RATIO_TO_MIN = 16
    NIGHT_SURPRISE = 17


STATISTICS = len(Windowed)


class Shared(IntEnum):
    """A number of all cards' events at one merchant, device or network, from closed tiles."""

    COUNT = 0
    SUM = 1
    CARDS = 2
    AMOUNT_TO_MEAN = 3
    FRAUDS = 4
    FRAUD_RISK = 5


LABELLED = (Shared.FRAUDS, Shared.FRAUD_RISK)
"""Those that read label tiles."""

NEEDS_SPREAD, NEEDS_COMPARISONS, NEEDS_ORDER, NEEDS_APART = 1, 2, 4, 8
"""What the kernel computes only when some feature asks for it, the last two for all windows."""

_NEEDS = {
    Windowed.STD: NEEDS_SPREAD,
    Windowed.RATIO_TO_MEAN: NEEDS_COMPARISONS,
    Windowed.Z_SCORE: NEEDS_COMPARISONS,
    Windowed.RANK: NEEDS_COMPARISONS | NEEDS_ORDER,
    Windowed.NIGHT_SURPRISE: NEEDS_COMPARISONS,
    Windowed.MAX: NEEDS_ORDER,
    Windowed.RATIO_TO_MIN: NEEDS_ORDER,
    Windowed.MERCHANTS: NEEDS_APART,
    Windowed.DEVICES: NEEDS_APART,
    Windowed.COUNTRIES: NEEDS_APART,
    Windowed.COUNT_SAME_MERCHANT: NEEDS_APART,
}


def needs_of(statistic: Windowed) -> int:
    """The bits that a window must carry for this statistic."""
    return _NEEDS.get(statistic, 0)
