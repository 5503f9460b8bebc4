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


def as_bits(*statistics: Windowed) -> int:
    """Statistics as bits: a window carries those that some feature asks for."""
    return sum(1 << statistic for statistic in statistics)


OF_AMOUNTS = (
    *(Windowed.COUNT, Windowed.SUM, Windowed.MEAN, Windowed.MAX, Windowed.STD),
    *(Windowed.RATIO_TO_MEAN, Windowed.Z_SCORE, Windowed.RANK, Windowed.RATIO_TO_MIN),
    Windowed.COUNT_SMALL,
)
"""Those that times and amounts alone decide."""
