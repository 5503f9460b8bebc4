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

    COUNT = 100
    SUM = 101
    MEAN = 102
    MAX = 103
    STD = 104
    MERCHANTS = 105
    DEVICES = 106
    COUNTRIES = 107
    NIGHT_SHARE = 108
    COUNT_ONLINE = 109
    COUNT_CASH = 110
    COUNT_SMALL = 111
    COUNT_SAME_MERCHANT = 112
    RATIO_TO_MEAN = 113
    Z_SCORE = 114
    RANK = 115
    RATIO_TO_MIN = 116
    NIGHT_SURPRISE = 117
