"""Which world: the few numbers that fix every byte of it, and where its randomness comes from."""

import hashlib
from dataclasses import asdict, dataclass
from enum import IntEnum

import numpy as np

from contracts.settings import WorldSettings

DAY_US = 86_400_000_000
HOUR_US = 3_600_000_000
MINUTE_US = 60_000_000
SECOND_US = 1_000_000

WORLD_VERSION = 5
"""Raised when a change of this code changes the bytes of a world: a topic never mixes two."""


class Stream(IntEnum):
    """One independent source of random numbers per concern, so that adding one moves no other."""

    MERCHANTS = 1
    CARDHOLDERS = 2
    TRIPS = 3
    HABITS = 4
    CAMPAIGNS = 5
    LABELS = 6
    OUTCOMES = 7
    HACKER = 8
    SUBSCRIPTIONS = 9


@dataclass(frozen=True, slots=True)
class WorldSpec:
    """The identity of a world: everything that its bytes depend on.

    `start_day` counts days since the Unix epoch, from midnight UTC; the delays are medians.
    """

    seed: int
    start_day: int
    cards: int
    merchants: int
    fraud_rate: float
    preset: str = "card"
    unreported_share: float = 0.10
    chargeback_days: float = 4.0
    report_hours: float = 24.0
    investigation_hours: float = 6.0

    @property
    def start_us(self) -> int:
        """The first instant of the world, in microseconds since the epoch."""
        return self.start_day * DAY_US

    @property
    def fingerprint(self) -> str:
        """Eight hex digits that differ when any number above does; part of every transaction id."""
        text = f"{WORLD_VERSION}/{sorted(asdict(self).items())!r}"
        return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()

    def rng(self, stream: Stream, *key: int) -> np.random.Generator:
        """Random numbers for one concern and, say, one day: the same in any order of asking."""
        return np.random.default_rng([self.seed, int(stream), *key])

    def opaque(self, *key: object) -> str:
        """A token of 12 hex digits that tells nothing about `key`."""
        text = f"{self.seed}/" + "/".join(map(str, key))
        return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def spec_from(world: WorldSettings, start_day: int) -> WorldSpec:
    """The world that the settings ask for, beginning on `start_day`."""
    return WorldSpec(
        seed=world.seed,
        start_day=start_day,
        cards=world.cards,
        merchants=world.merchants,
        fraud_rate=world.fraud_rate,
        preset=world.preset,
        unreported_share=world.unreported_share,
        chargeback_days=world.chargeback_days,
        report_hours=world.report_hours,
        investigation_hours=world.investigation_hours,
    )


def fresh_start_day(world: WorldSettings, now_us: int) -> int:
    """Where a new world begins: its backfill ends `end_days_ago` days before today's midnight."""
    return now_us // DAY_US - world.end_days_ago - world.backfill_days
