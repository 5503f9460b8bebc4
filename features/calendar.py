"""Public holidays per country and local day, from the `holidays` library."""

from datetime import date
from functools import lru_cache

import holidays
import numpy as np
from numpy.typing import NDArray

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


def are_holidays(codes: NDArray[np.int64], days: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Is each day since the epoch a public holiday in its country (0: unknown, never)?"""
    if len(codes) == 0:
        return np.zeros(0, dtype=np.bool_)
    first, last = int(days.min()), int(days.max())
    present = np.flatnonzero(np.bincount(codes))
    row_of = np.zeros(int(present[-1]) + 1, dtype=np.int64)
    row_of[present] = np.arange(len(present))
    table = np.zeros((len(present), last - first + 1), dtype=np.bool_)
    for row, code in enumerate(present.tolist()):
        known = _days_between(country_letters(code), first, last) if code else []
        table[row, np.array(known, dtype=np.int64) - first] = True
    found: NDArray[np.bool_] = table[row_of[codes], days - first]
    return found


def _days_between(country: str, first: int, last: int) -> list[int]:
    years = range(_year_of(first), _year_of(last) + 1)
    return [day for year in years for day in _days_of(country, year) if first <= day <= last]


def _year_of(day: int) -> int:
    return date.fromordinal(day + _EPOCH_ORDINAL).year
