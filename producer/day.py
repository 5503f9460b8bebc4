"""The columns of purchases, and one world day of them as it goes onto Kafka."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

LEGITIMATE = -1
NO_DEVICE = 0
NO_PREFIX = -1
CHIP, CONTACTLESS, ONLINE_CHANNEL, ATM_CHANNEL = range(4)
CHANNEL_NAMES = ("chip", "contactless", "online", "atm")


@dataclass(frozen=True, slots=True)
class Purchases:
    """Columns over purchases in any order; `campaign` is LEGITIMATE or a campaign's number.

    `city` is where the holder or thief stands; a device of 0 and a prefix of -1 mean none.
    """

    event_us: NDArray[np.int64]
    account: NDArray[np.int64]
    merchant: NDArray[np.int64]
    amount_minor: NDArray[np.int64]
    channel: NDArray[np.int64]
    city: NDArray[np.int64]
    device: NDArray[np.int64]
    prefix: NDArray[np.int64]
    campaign: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.event_us)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "Purchases":
        """These rows, in this order."""
        return Purchases(*(getattr(self, field.name)[rows] for field in fields(self)))


def concatenate(parts: list[Purchases]) -> Purchases:
    """All rows of all parts."""
    names = [field.name for field in fields(Purchases)]
    return Purchases(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


@dataclass(frozen=True, slots=True)
class Day:
    """One world day in time order: row i is number i of the day; `generation` tells which of its
    cards the account used (0 for the first ever issued)."""

    number: int
    purchases: Purchases
    generation: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.purchases)
