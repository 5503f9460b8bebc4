"""Counts of what was decided: kept in each process, summed in Redis once a second."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import redis

from contracts.errors import StoreError
from inference.records import SKEW_MS, age_ms
from inference.threads import survive
from inference.troubles import TROUBLES

if TYPE_CHECKING:
    from inference.records import SourceBatch

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 1.0
LATENCY_BUCKETS_MS = (2, 5, 10, 20, 50, 100, 200, 300, 500, 1_000, 2_000, 5_000, 30_000)
LATENCY_PREFIX = "latency_ms:"
LATENCY_SUM = "latency_sum_ms"
AGES_AT_ONCE = 1_000
"""Sorted into buckets together: a call for a few costs as much as for all of them."""
LAST = "last:"


class Tallies(Protocol):
    """Sums by name over all processes of a pipeline."""

    def add(self, counts: Mapping[str, int]) -> None:
        """Add to the sums; StoreError when the store is away."""

    def read(self) -> Mapping[str, int]:
        """The sums now; StoreError when the store is away."""


class MemoryTallies:
    """Sums of this process."""

    def __init__(self) -> None:
        self._sums: Counter[str] = Counter()

    def add(self, counts: Mapping[str, int]) -> None:
        """See `Tallies`."""
        self._sums.update(counts)

    def read(self) -> Mapping[str, int]:
        """See `Tallies`."""
        return dict(self._sums)


class RedisTallies:
    """Sums in one Redis hash; for `TROUBLES` also Redis' time of the last count, after `LAST`."""

    def __init__(self, url: str, prefix: str) -> None:
        self._client = redis.Redis.from_url(url, socket_timeout=2.0, socket_connect_timeout=2.0)
        self._key = f"{prefix}:tallies"

    def add(self, counts: Mapping[str, int]) -> None:
        """See `Tallies`."""
        pipeline = self._client.pipeline(transaction=True)
        troubles = [name for name, count in counts.items() if count and name in TROUBLES]
        try:
            now = self._client.time()[0] if troubles else 0
            for name, count in counts.items():
                pipeline.hincrby(self._key, name, count)
            for name in troubles:
                pipeline.hset(self._key, LAST + name, str(now))
            pipeline.execute()
        except redis.RedisError as error:
            raise StoreError(f"Redis failed: {error}") from error

    def read(self) -> Mapping[str, int]:
        """See `Tallies`."""
        try:
            sums = self._client.hgetall(self._key)
        except redis.RedisError as error:
            raise StoreError(f"Redis failed: {error}") from error
        return {name.decode(): int(value) for name, value in sums.items()}  # type: ignore[union-attr]


class Meter:
    """Collects counts of one process and hands them on from a thread of its own."""

    def __init__(
        self, tallies: Tallies, *, wall_ms: Callable[[], float] = lambda: time.time() * 1000
    ) -> None:
        self._tallies = tallies
        self._wall_ms = wall_ms
        self._lock = threading.Lock()
        self._pending: Counter[str] = Counter()
        self._ages: list[float] = []
        self._stop = threading.Event()

    def count(self, tally: Mapping[str, int], batch: "SourceBatch | None" = None) -> None:
        """Take over counts, and of a batch's records their age and what lies in the future."""
        with self._lock:
            self._pending.update(tally)
            if batch is not None:
                now_ms = self._wall_ms()
                self._ages += ages_ms(batch.sent, now_ms)
                if len(self._ages) >= AGES_AT_ONCE:
                    self._sort_ages()
                ahead = int((batch.timestamps_us / 1000 > now_ms + SKEW_MS).sum())
                self._pending.update({"ahead_of_clock": ahead} if ahead else {})

    def _sort_ages(self) -> None:
        self._pending.update(latency_counts(self._ages))
        self._ages = []

    def flush(self) -> None:
        """Hand the pending counts on; they stay pending while the store is away."""
        with self._lock:
            self._sort_ages()
            pending, self._pending = self._pending, Counter()
        if not pending:
            return
        try:
            self._tallies.add(pending)
        except StoreError:
            with self._lock:
                self._pending.update(pending)

    def start(self) -> None:
        """Flush once a second in the background."""
        threading.Thread(target=self._run, name="tallies", daemon=True).start()

    def _run(self) -> None:
        while not self._stop.wait(FLUSH_SECONDS):
            survive(self.flush)

    def close(self) -> None:
        """Stop the background thread and flush what is left."""
        self._stop.set()
        self.flush()


def ages_ms(sent: Sequence[bytes | None], now_ms: float) -> list[float]:
    """How long ago records were sent, in ms; of those that were sent live and say so."""
    ages = (age_ms(header, now_ms) for header in sent)
    return [age for age in ages if age is not None]


def latency_counts(ages: Sequence[float]) -> Mapping[str, int]:
    """Records by latency bucket, by its upper bound in ms, and the sum of their ages."""
    if not ages:
        return {}
    passed = np.maximum(ages, 0.0)
    places = np.searchsorted(np.array(LATENCY_BUCKETS_MS), passed)
    bounds = [*map(str, LATENCY_BUCKETS_MS), "inf"]
    counts = np.bincount(places, minlength=len(bounds)).tolist()
    found = {LATENCY_PREFIX + bound: n for bound, n in zip(bounds, counts, strict=True) if n}
    return found | {LATENCY_SUM: round(float(passed.sum()))}
