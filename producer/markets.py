"""Presets: what is paid with, where, and which fields such a source would have."""

from dataclasses import dataclass

from producer.categories import CATEGORIES


@dataclass(frozen=True, slots=True)
class Market:
    """A kind of payment: categories with their weights, and what its messages lack.

    `online` forces all merchants online (True) or none (False); None leaves it to the category.
    """

    weights: dict[str, float]
    online: bool | None
    absent: frozenset[str]

    def category_weights(self) -> list[float]:
        """The weight of each category in order; 0 for those that this market lacks."""
        return [self.weights.get(category.mcc, 0.0) for category in CATEGORIES]


_LOCATION = ("utc_offset_minutes", "country", "latitude", "longitude")

MARKETS = {
    "card": Market({category.mcc: category.weight for category in CATEGORIES}, None, frozenset()),
    "crypto": Market(
        {"6051": 60.0, "7995": 14.0, "5816": 14.0, "5732": 6.0, "5944": 6.0},
        True,
        frozenset((*_LOCATION, "merchant_category")),
    ),
    "atm": Market(
        {"6011": 1.0},
        False,
        frozenset(("device_id", "ip_prefix", "latitude", "longitude", "currency")),
    ),
}
"""Card payments; wallets that pay counterparties; cash at terminals."""
