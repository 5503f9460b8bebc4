"""A world: its days, labels and truth, each a pure function of the spec and a day's number."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from producer.campaigns import campaigns_of
from producer.cardholders import make_cardholders
from producer.day import LEGITIMATE, Day, Purchases, concatenate
from producer.delays import MAX_DELAY_DAYS, NEVER, UNREPORTED
from producer.disputes import Labels, in_label_order, labels_of
from producer.habits import Scene, honest_purchases
from producer.merchants import make_merchants
from producer.plan import Block, Plan, merged
from producer.spec import DAY_US, WorldSpec

_LABEL_REACH_DAYS = 2 * MAX_DELAY_DAYS
"""A correction may follow a label that itself came late."""
_GENERATION_BITS = 16
"""An account's cards number fewer than two to the power of this."""


class World:
    """Generates day after day; asking again, or in another order, gives the same bytes."""

    def __init__(self, spec: WorldSpec) -> None:
        self.spec = spec
        self._fingerprint = spec.fingerprint
        merchants = make_merchants(spec)
        self.scene = Scene(spec, merchants, make_cardholders(spec, merchants))
        self.campaigns = campaigns_of(spec.preset)
        self.plan = Plan(self.scene, self.campaigns)
        self._labels: dict[int, Labels] = {}
        self._token = lru_cache(maxsize=None)(self._make_token)
        self._recent = lru_cache(maxsize=8)(self.day)

    def day(self, number: int) -> Day:
        """The purchases of world day `number` (0 is `spec.start_day`) in time order."""
        self.plan.extend(number + 1)
        honest = self._present(honest_purchases(self.scene, number), number)
        frauds = merged(self.plan.frauds(number))
        stolen = [] if frauds is None else [frauds.purchases]
        everything = concatenate([honest, *stolen])
        label_us = np.full(len(everything), NEVER)
        source = np.full(len(everything), UNREPORTED)
        if frauds is not None:
            label_us[len(honest) :], source[len(honest) :] = frauds.label_us, frauds.source
        order = np.lexsort((everything.account, everything.event_us))
        day = Day(number, everything.take(order), self.generations(everything.take(order), number))
        self._labels[number] = labels_of(self.spec, day, label_us[order], source[order])
        return day

    def labels_about(self, number: int) -> Labels:
        """Every label that the purchases of world day `number` will ever get."""
        if number not in self._labels:
            self.day(number)
        return self._labels[number]

    def labels(self, number: int) -> Labels:
        """Every label that becomes known on world day `number`, in time order."""
        start = self.spec.start_us + number * DAY_US
        first = max(0, number - _LABEL_REACH_DAYS)
        known = in_label_order([self.labels_about(day) for day in range(first, number + 1)])
        return known.take((known.label_us >= start) & (known.label_us < start + DAY_US))

    def card_ids(self, account: NDArray[np.int64], generation: NDArray[np.int64]) -> list[str]:
        """The card token of each row."""
        return list(map(self._token, (account << _GENERATION_BITS | generation).tolist()))

    def transaction_id(self, day: int, row: int) -> str:
        """The id of purchase `row` of world day `day`."""
        return f"{self._fingerprint}-{day:05d}-{row:07d}"

    def transaction_ids(self, day: int, size: int) -> Iterator[str]:
        """The ids of the first `size` purchases of world day `day`."""
        start = f"{self._fingerprint}-{day:05d}-"
        return (f"{start}{row:07d}" for row in range(size))

    def locate(self, transaction_id: str) -> tuple[int, int] | None:
        """The (day, row) of a purchase by its id; None when it is not of this world."""
        fingerprint, _, place = transaction_id.partition("-")
        day, _, row = place.partition("-")
        if fingerprint != self._fingerprint or not (day.isdigit() and row.isdigit()):
            return None
        return int(day), int(row)

    def is_fraud(self, day: int, row: int) -> bool:
        """The truth about one purchase."""
        return bool(self._recent(day).purchases.campaign[row] != LEGITIMATE)

    def merchant_id(self, day: int, row: int) -> str:
        """Where one purchase was made."""
        return str(self.scene.merchants.ids[self._recent(day).purchases.merchant[row]])

    def frauds(self, day: Day) -> NDArray[np.int64]:
        """The rows of a day that are fraud in truth."""
        return np.flatnonzero(day.purchases.campaign != LEGITIMATE)

    def _make_token(self, number: int) -> str:
        account, generation = divmod(number, 1 << _GENERATION_BITS)
        return f"c{self.spec.opaque('card', account, generation)}"

    def _present(self, honest: Purchases, number: int) -> Purchases:
        """Without the purchases of people who wait for a new card."""
        start = self.spec.start_us + number * DAY_US
        keep = np.ones(len(honest), dtype=np.bool_)
        for block in self.plan.blocks:
            if block.at_us < start + DAY_US and block.reissued_us > start:
                keep &= ~_waiting(honest, block)
        return honest.take(keep)

    def generations(self, purchases: Purchases, number: int) -> NDArray[np.int64]:
        """How many cards of each row's account were blocked before it, on world day `number`."""
        start = self.spec.start_us + number * DAY_US
        issued = np.zeros(self.spec.cards, dtype=np.int64)
        today = []
        for block in self.plan.blocks:
            if block.at_us <= start:
                issued[block.account] += 1
            elif block.at_us < start + DAY_US:
                today.append(block)
        generation: NDArray[np.int64] = issued[purchases.account]
        for block in today:
            generation += (purchases.account == block.account) & (purchases.event_us >= block.at_us)
        return generation


def _waiting(purchases: Purchases, block: Block) -> NDArray[np.bool_]:
    own = purchases.account == block.account
    late = (purchases.event_us >= block.at_us) & (purchases.event_us < block.reissued_us)
    waiting: NDArray[np.bool_] = own & late
    return waiting
