"""Which campaigns strike when, what they take, when that becomes known and cards are reissued.

The plan grows day by day and is never stored: the same world always makes the same plan.
"""

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from producer.campaign import Campaign
from producer.day import Purchases, concatenate
from producer.delays import UNREPORTED, draw_source, report_times
from producer.habits import PER_PLANNED, Scene
from producer.spec import DAY_US, HOUR_US, Stream

_REST_DAYS = 45
"""An account that was a victim is left alone for this long."""


@dataclass(frozen=True, slots=True)
class Frauds:
    """Stolen purchases and what becomes of them; `label_us` may be NEVER, `source` as in delays."""

    purchases: Purchases
    label_us: NDArray[np.int64]
    source: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.label_us)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "Frauds":
        """These rows, in this order."""
        return Frauds(self.purchases.take(rows), self.label_us[rows], self.source[rows])


@dataclass(frozen=True, slots=True)
class Block:
    """A card is blocked at `at_us`; from `reissued_us` the account uses its next card."""

    account: int
    at_us: int
    reissued_us: int


@dataclass(slots=True)
class Plan:
    """Grows with `extend`; holds the frauds by the day on which they happen, and all blocks."""

    scene: Scene
    campaigns: tuple[Campaign, ...]
    days: int = 0
    blocks: list[Block] = field(default_factory=list)
    _frauds: dict[int, list[Frauds]] = field(default_factory=lambda: defaultdict(list))
    _rests_until: NDArray[np.int64] = field(init=False)
    _owed: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self._rests_until = np.zeros(len(self.scene.holders), dtype=np.int64)
        self._owed = [0.0] * len(self.campaigns)

    def extend(self, days: int) -> None:
        """Plan every campaign that begins before day `days`."""
        while self.days < days:
            self._plan_day(self.days)
            self.days += 1

    def frauds(self, day: int) -> list[Frauds]:
        """What is stolen on a planned day."""
        return self._frauds.get(day, [])

    def _plan_day(self, day: int) -> None:
        """Start campaigns until about as much is stolen as is due; big ones wait to fall due."""
        rng = self.scene.spec.rng(Stream.CAMPAIGNS, day)
        due = self._frauds_due(day)
        for number, campaign in enumerate(self.campaigns):
            self._owed[number] += due * campaign.share
            while self._owed[number] > rng.uniform(0, 2) * campaign.size:
                loot = campaign.strike(self.scene, day, _Picker(self, day, rng), rng)
                if len(loot) == 0:
                    break
                self._owed[number] -= self._settle(loot, number, rng)

    def _frauds_due(self, day: int) -> float:
        """How many frauds a day needs for the world's rate."""
        holders, rate = self.scene.holders, self.scene.spec.fraud_rate
        honest = holders.per_day[holders.is_active(day)].sum() * PER_PLANNED
        return float(honest * rate / (1.0 - rate))

    def _settle(self, loot: Purchases, number: int, rng: np.random.Generator) -> int:
        """Decide victim by victim when the theft is found, after which nothing more is stolen.

        Returns how many purchases went through.
        """
        loot.campaign[:] = number
        stolen = 0
        for account in np.unique(loot.account):
            own = loot.take(loot.account == account)
            source = draw_source(self.scene.spec, rng)
            label_us = report_times(self.scene.spec, own.event_us, source, rng)
            frauds = Frauds(own, label_us, np.full(len(own), source))
            if source != UNREPORTED:
                caught_us = int(label_us.min())
                frauds = frauds.take(own.event_us < caught_us)
                self._block(int(account), caught_us, rng)
            self._keep(frauds)
            stolen += len(frauds)
        return stolen

    def _block(self, account: int, caught_us: int, rng: np.random.Generator) -> None:
        wait = int(rng.integers(20, 90)) * HOUR_US
        self.blocks.append(Block(account, caught_us, caught_us + wait))

    def _keep(self, frauds: Frauds) -> None:
        day = (frauds.purchases.event_us - self.scene.spec.start_us) // DAY_US
        for number in np.unique(day):
            self._frauds[int(number)].append(frauds.take(day == number))


@dataclass(frozen=True, slots=True)
class _Picker:
    """Chooses victims and lets them rest afterwards."""

    plan: Plan
    day: int
    rng: np.random.Generator

    def __call__(self, count: int, among: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        holders = self.plan.scene.holders
        free = holders.is_active(self.day) & (self.plan._rests_until <= self.day)
        pool = np.flatnonzero(free) if among is None else among[free[among]]
        chosen = self.rng.choice(pool, min(count, len(pool)), replace=False)
        self.plan._rests_until[chosen] = self.day + _REST_DAYS
        return np.asarray(chosen, dtype=np.int64)


def merged(parts: list[Frauds]) -> Frauds | None:
    """All rows of all parts; None when there are none."""
    if not parts:
        return None
    return Frauds(
        concatenate([part.purchases for part in parts]),
        np.concatenate([part.label_us for part in parts]),
        np.concatenate([part.source for part in parts]),
    )
