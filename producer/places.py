"""Cities: where cardholders live, merchants stand and people travel to."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class City:
    """A place; `home_weight` is its share of cardholders, 0 for mere travel destinations."""

    country: str
    currency: str
    latitude: float
    longitude: float
    utc_offset_minutes: int
    home_weight: float


CITIES = (
    City("GB", "GBP", 51.51, -0.13, 0, 14.0),
    City("GB", "GBP", 53.48, -2.24, 0, 5.0),
    City("GB", "GBP", 55.95, -3.19, 0, 3.0),
    City("IE", "EUR", 53.35, -6.26, 0, 3.0),
    City("PT", "EUR", 38.72, -9.14, 0, 3.0),
    City("FR", "EUR", 48.86, 2.35, 60, 9.0),
    City("FR", "EUR", 43.30, 5.37, 60, 3.0),
    City("DE", "EUR", 52.52, 13.40, 60, 6.0),
    City("DE", "EUR", 48.14, 11.58, 60, 5.0),
    City("DE", "EUR", 50.94, 6.96, 60, 4.0),
    City("NL", "EUR", 52.37, 4.90, 60, 5.0),
    City("BE", "EUR", 50.85, 4.35, 60, 4.0),
    City("ES", "EUR", 40.42, -3.70, 60, 6.0),
    City("ES", "EUR", 41.39, 2.17, 60, 4.0),
    City("IT", "EUR", 45.46, 9.19, 60, 5.0),
    City("IT", "EUR", 41.90, 12.50, 60, 4.0),
    City("AT", "EUR", 48.21, 16.37, 60, 3.0),
    City("PL", "PLN", 52.23, 21.01, 60, 4.0),
    City("SE", "SEK", 59.33, 18.07, 60, 3.0),
    City("GR", "EUR", 37.98, 23.73, 120, 2.0),
    City("RO", "RON", 44.43, 26.10, 120, 2.0),
    City("FI", "EUR", 60.17, 24.94, 120, 2.0),
    City("US", "USD", 40.71, -74.01, -300, 1.0),
    City("US", "USD", 34.05, -118.24, -480, 0.0),
    City("TR", "TRY", 41.01, 28.98, 180, 0.0),
    City("AE", "AED", 25.20, 55.27, 240, 0.0),
    City("TH", "THB", 13.76, 100.50, 420, 0.0),
    City("JP", "JPY", 35.68, 139.69, 540, 0.0),
    City("MA", "MAD", 33.57, -7.59, 60, 0.0),
    City("EG", "EGP", 30.04, 31.24, 120, 0.0),
)


def home_weights() -> NDArray[np.float64]:
    """The share of cardholders per city; sums to 1."""
    weights = np.array([city.home_weight for city in CITIES])
    shares: NDArray[np.float64] = weights / weights.sum()
    return shares


def footfall() -> NDArray[np.float64]:
    """The share of physical merchants per city: residents plus a few visitors; sums to 1."""
    weights = np.array([city.home_weight + 1.0 for city in CITIES])
    shares: NDArray[np.float64] = weights / weights.sum()
    return shares


def utc_offsets_minutes() -> NDArray[np.int64]:
    """Standard time per city."""
    return np.array([city.utc_offset_minutes for city in CITIES], dtype=np.int64)
