"""Public holidays per country and local day, from the `holidays` library."""

from functools import lru_cache

import holidays
import numpy as np
from numpy.typing import NDArray

CALENDAR_VERSION = holidays.__version__
"""Part of the definition's hash: another release may know other days."""

_EPOCH_ORDINAL = 719_163  # date(1970, 1, 1).toordinal()
_FIRST_YEAR = 1970


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
    result = np.zeros(len(codes), dtype=np.bool_)
    years = days.astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64) + _FIRST_YEAR
    keys = codes * 4096 + years - _FIRST_YEAR
    for key in np.flatnonzero(np.bincount(keys)) if len(keys) else ():
        code, year = int(key) // 4096, int(key) % 4096 + _FIRST_YEAR
        known = _days_of(country_letters(code), year) if code else frozenset()
        if known:
            result |= (keys == key) & np.isin(days, np.fromiter(known, np.int64))
    return result
