"""Merchant categories: what people buy, for how much, and how often online."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Category:
    """An ISO 18245 category; amounts are log-normal around `median_minor` with `sigma`.

    `weight` is its share of visits, `online` the share of its merchants that sell online, `resale`
    how much a thief wants what it sells; shops are open between these local hours.
    """

    mcc: str
    median_minor: int
    sigma: float
    weight: float
    online: float
    resale: float
    opens: float = 8.0
    closes: float = 21.0


CATEGORIES = (
    Category("5411", 2600, 0.80, 20.0, 0.08, 0.6, 6, 23),  # groceries
    Category("5814", 950, 0.45, 11.0, 0.15, 0.3, 0, 24),  # fast food
    Category("5812", 2700, 0.60, 9.0, 0.05, 0.4, 11, 24),  # restaurants
    Category("5541", 5200, 0.40, 6.0, 0.0, 0.8, 0, 24),  # fuel
    Category("4111", 320, 0.50, 7.0, 0.25, 0.2, 0, 24),  # commuter transport
    Category("4121", 1500, 0.55, 3.5, 0.70, 0.5, 0, 24),  # taxis
    Category("5912", 1600, 0.65, 4.0, 0.10, 0.4),  # pharmacies
    Category("5311", 5200, 0.85, 4.0, 0.35, 2.2),  # department stores
    Category("5651", 5400, 0.75, 4.5, 0.50, 2.0),  # clothing
    Category("5732", 11500, 1.05, 2.6, 0.55, 3.5),  # electronics
    Category("5722", 11000, 0.95, 1.2, 0.40, 1.6),  # household appliances
    Category("5944", 13000, 1.00, 0.6, 0.30, 2.2),  # jewellery
    Category("5942", 1900, 0.60, 1.6, 0.55, 0.4),  # books
    Category("5999", 2800, 0.95, 4.0, 0.70, 1.6),  # speciality shops
    Category("5816", 1100, 0.85, 3.6, 1.00, 1.8, 0, 24),  # games and digital goods
    Category("4899", 1100, 0.30, 2.0, 1.00, 0.4),  # streaming
    Category("4814", 2400, 0.50, 1.6, 0.80, 1.2),  # telecommunications
    Category("7995", 2500, 1.05, 1.2, 0.90, 1.0, 9, 24),  # betting
    Category("6051", 9500, 1.10, 0.8, 1.00, 2.2, 0, 24),  # quasi cash
    Category("4511", 19000, 0.80, 0.9, 0.95, 1.6, 0, 24),  # airlines
    Category("7011", 14500, 0.70, 1.2, 0.60, 1.2, 0, 24),  # hotels
    Category("7832", 1700, 0.40, 1.5, 0.40, 0.2, 10, 24),  # cinemas
    Category("8011", 4800, 0.70, 1.0, 0.0, 0.2, 7, 19),  # doctors
    Category("6011", 8000, 0.70, 5.0, 0.0, 1.5, 0, 24),  # cash machines
)
ATM_CATEGORY = next(i for i, category in enumerate(CATEGORIES) if category.mcc == "6011")
DIGITAL_MCCS = ("5816", "4899", "5942", "5999", "4814")
"""Shops where a small online payment draws no attention: where stolen cards are tried."""
WALLET_MCCS = ("6051",)
"""Where money becomes somebody's wallet balance."""
SUBSCRIPTION_MCCS = ("4899", "4814", "5816")


def column(name: str) -> NDArray[np.float64]:
    """One number of every category, in order."""
    return np.array([getattr(category, name) for category in CATEGORIES], dtype=np.float64)


def indices(mccs: tuple[str, ...]) -> NDArray[np.int64]:
    """Where the categories with these codes stand."""
    places = [i for i, category in enumerate(CATEGORIES) if category.mcc in mccs]
    return np.array(places, dtype=np.int64)
