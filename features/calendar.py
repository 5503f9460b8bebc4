"""Public holidays per country and local day, from the `holidays` library."""

from datetime import date
from functools import cache, lru_cache

import holidays
import numpy as np

CALENDAR_VERSION = holidays.__version__
"""Part of the definition's hash: another release may know other days."""

_EPOCH_ORDINAL = 719_163  # date(1970, 1, 1).toordinal()


@lru_cache(maxsize=4096)
def _days_of(country: str, year: int) -> frozenset[int]:
    """Holidays as days since the epoch; none for a country that the library does not know."""
    try:
        known = holidays.country_holidays(country, years=year)
    except NotImplementedError:
        return frozenset()
    return frozenset(day.toordinal() - _EPOCH_ORDINAL for day in known)


def country_code(country: str | None) -> int:
    """Two letters as a number in 33 .. 858; 0 for none."""
    return 0 if country is None else (ord(country[0]) - 64) * 32 + ord(country[1]) - 64


def country_letters(code: int) -> str:
    """The inverse of `country_code`."""
    return chr(code // 32 + 64) + chr(code % 32 + 64)


CALENDAR_UNIT, CALENDAR_UNITS = 1024, 48
"""Days that are learned together, and how many times: until 2104."""
_CODES = 27 * 32


class Calendar:
    """Holidays as kernels read them, learned from the library as countries and years come up.

    `is_holiday` is bool [code, day since the epoch], `is_known` bool [code, CALENDAR_UNIT of it].
    """

    def __init__(self) -> None:
        self.is_holiday = np.zeros((_CODES, CALENDAR_UNIT * CALENDAR_UNITS), dtype=np.bool_)
        self.is_known = np.zeros((_CODES, CALENDAR_UNITS), dtype=np.bool_)

    def learn(self, code: int, day: int) -> None:
        """Look up a country's holidays around a day."""
        unit = day // CALENDAR_UNIT
        first, last = unit * CALENDAR_UNIT, (unit + 1) * CALENDAR_UNIT - 1
        self.is_holiday[code, _days_between(country_letters(code), first, last)] = True
        self.is_known[code, unit] = True


@cache
def calendar() -> Calendar:
    """This process's calendar; memory is taken for what was learned only."""
    return Calendar()


def _days_between(country: str, first: int, last: int) -> list[int]:
    years = range(_year_of(first), _year_of(last) + 1)
    return [day for year in years for day in _days_of(country, year) if first <= day <= last]


def _year_of(day: int) -> int:
    return date.fromordinal(day + _EPOCH_ORDINAL).year
