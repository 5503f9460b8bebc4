"""What a step of the tile service costs at a steady rate, processor time of one thread.

Reading the records, folding them, and once a minute of events writing what has closed; the store
is in memory, the records are made before. A step takes what comes in `tile_run.PACE_SECONDS`.

    python benchmarks/tiles.py [--minutes 5] [--partitions 4]

Last line: {"tiles_step_us": {rate: {"median", "mean", "p99", "max"}}, "cpu_share": {rate: …}, …};
the share is that of a core.
"""

import argparse
import os
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from stream_rig import EPOCH_US, finish, say, transaction

from features.history import readable_rows
from features.tile_fold import EVENTS, LABELS, Partition
from features.tile_run import PACE_SECONDS
from features.tile_service import Arrived, TileService
from features.tile_store import MemoryTileStore

RATES = (1_000, 4_000, 10_000)
WARM_STEPS = round(65 / PACE_SECONDS)
"""More than a minute of events: the first tiles have closed, every kernel is loaded."""


@dataclass
class SteadySource:
    """Transactions at a rate over some partitions, and a promise for each idle one."""

    rate: int
    numbers: int
    sent: int = 0
    waiting: list[tuple[int, list[bytes]]] = field(default_factory=list)
    offsets: dict[int, int] = field(default_factory=dict)
    dice: random.Random = field(default_factory=lambda: random.Random(1))

    def prepare(self) -> None:
        """Make what the next step will find."""
        step_us = round(1e6 / self.rate)
        found: dict[int, list[bytes]] = {}
        for _ in range(round(self.rate * PACE_SECONDS)):
            key, value = transaction(self.sent, self.dice, EPOCH_US + self.sent * step_us)
            found.setdefault(int(key[-6:]) % self.numbers, []).append(value)
            self.sent += 1
        self.waiting = list(found.items())

    @property
    def now_ms(self) -> int:
        """The time of the newest record."""
        return (EPOCH_US + self.sent * round(1e6 / self.rate)) // 1000

    def partitions(self) -> Sequence[Partition]:
        """See `TileSource`."""
        return [*((EVENTS, number) for number in range(self.numbers)), (LABELS, 0)]

    def seek(self, offsets: Mapping[Partition, int]) -> None:
        """See `TileSource`."""
        self.offsets = dict.fromkeys(range(self.numbers), 0)

    def poll(self) -> Sequence[Arrived]:
        """See `TileSource`."""
        arrived = []
        for number, values in self.waiting:
            first, size = self.offsets[number], len(values)
            self.offsets[number] = first + size
            offsets = range(first, first + size)
            rows = readable_rows(values, [number] * size, offsets, [self.now_ms] * size)
            arrived.append(Arrived((EVENTS, number), rows, first + size))
        self.waiting = []
        return arrived

    def promises(self) -> Sequence[tuple[Partition, int, int]]:
        """See `TileSource`: all that was sent has been read."""
        ends = {(EVENTS, number): end for number, end in self.offsets.items()} | {(LABELS, 0): 0}
        return [(partition, end, self.now_ms) for partition, end in ends.items()]

    def idle_ends(self) -> Mapping[Partition, int] | None:
        """See `TileSource`; promises do."""
        return None


def steps_us(rate: int, minutes: float, partitions: int) -> np.ndarray:
    """Microseconds of processor time of each step."""
    source = SteadySource(rate, partitions)
    service = TileService(MemoryTileStore(), source, wall_ms=lambda: source.now_ms)
    service.start()
    took = []
    for _ in range(WARM_STEPS + round(minutes * 60 / PACE_SECONDS)):
        source.prepare()
        began = time.process_time()
        service.step()
        took.append((time.process_time() - began) * 1e6)
    return np.array(took[WARM_STEPS:])


def main() -> None:
    """All rates."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5.0, help="of events, at each rate")
    parser.add_argument("--partitions", type=int, default=4)
    arguments = parser.parse_args()
    figures: dict[str, dict[str, float]] = {}
    shares: dict[str, float] = {}
    for rate in RATES:
        say(f"{rate:,} transactions per second for {arguments.minutes:g} minutes of events")
        took = steps_us(rate, arguments.minutes, arguments.partitions)
        median, p99, most = np.percentile(took, [50, 99, 100]).round().tolist()
        mean = round(float(took.mean()))
        figures[str(rate)] = {"median": median, "mean": mean, "p99": p99, "max": most}
        shares[str(rate)] = round(float(took.mean()) / 1e6 / PACE_SECONDS, 4)
        say(f"{rate:,}: {figures[str(rate)]} us a step, {shares[str(rate)]:.1%} of a core")
    finish({"tiles_step_us": figures, "cpu_share": shares, "cpus": os.cpu_count()})


if __name__ == "__main__":
    main()
