"""Folding records into open tiles, and closing those that no later record can change."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.transaction_rows import AMOUNT_MINOR, EventRows, events_of
from features import layout
from features.clocks import clocks_after, stamps_ms
from features.definition import FEATURE_SET, FeatureSet
from features.encoding import HASH_OF, hashes_of
from features.feature import SHARED_ENTITIES
from features.label_effects import LabelLedger
from features.tiles import ROW_WIDTH, OpenTiles, label_tiles

Ints = NDArray[np.int64]

EVENTS, LABELS = "events", "labels"
Partition = tuple[str, int]
"""EVENTS or LABELS, and the partition's number."""
PENDING = 64
"""Promises that wait for their records; of more the oldest are dropped, which costs only time."""
NO_TILES = np.empty((0, ROW_WIDTH), dtype=np.int64)
"""Nothing has closed."""


@dataclass(slots=True)
class Place:
    """Where folding stands in a partition: the next offset, and the clock before it.

    `days` holds, of each day that began, the first offset and the clock before that. Records
    before `counted` have been looked at for broken promises, by an earlier process perhaps.
    """

    offset: int = 0
    clock: int = 0
    promised: int = 0
    counted: int = 0
    days: deque[tuple[int, int, int]] = field(default_factory=deque)
    promises: list[tuple[int, int]] = field(default_factory=list)

    @property
    def frontier(self) -> int:
        """No later record will have a clock before this."""
        return max(self.clock, self.promised)

    def advance(self, offsets: Ints, clocks: Ints, end: int) -> int:
        """Take note of records up to `end`; how many more broke a promise."""
        days = np.concatenate(([self.clock // layout.DAY], clocks // layout.DAY))
        for row in np.flatnonzero(np.diff(days)).tolist():
            before = self.clock if row == 0 else int(clocks[row - 1])
            self.days.append((int(days[row + 1]), int(offsets[row]), before))
        broken = int(((clocks < self.promised) & (offsets >= self.counted)).sum())
        self.clock = int(clocks[-1]) if len(clocks) else self.clock
        self.offset = end
        self.counted = max(self.counted, end)
        self.keep_promises()
        return broken

    def keep_promises(self) -> None:
        """Believe the promises whose records have all been folded."""
        due = [until for end, until in self.promises if end <= self.offset]
        self.promises = [promise for promise in self.promises if promise[0] > self.offset]
        self.promised = max([self.promised, *due])

    def restart(self, frontier: int) -> tuple[int, int]:
        """Offset and clock from which the days still open at `frontier` can be folded again."""
        while self.days and self.days[0][0] < frontier // layout.DAY:
            self.days.popleft()
        return self.days[0][1:] if self.days else (self.offset, self.clock)


class TileFolder:
    """Open tiles and frontiers of all partitions; tiles before `closed_ms` are not folded again.

    `broken_promises` counts records that came after a promise that there would be none so early.
    """

    def __init__(
        self,
        places: Mapping[Partition, Place],
        closed_ms: Mapping[str, int],
        broken_promises: int = 0,
        feature_set: FeatureSet = FEATURE_SET,
    ) -> None:
        self._wanted = {
            section: _wanted(feature_set, section)
            for section in (layout.S_MINUTE, layout.S_HOUR, layout.S_DAY)
        }
        self.places = dict(places)
        self.broken_promises = broken_promises
        self.closed_ms = dict(closed_ms)
        self._ledger = LabelLedger()
        self._open = [OpenTiles() for _ in range(layout.SECTIONS)]

    def events(self, partition: int, events: EventRows | pa.Table, end: int) -> None:
        """Fold transactions of one partition in offset order; `end` is the offset after them."""
        found = events if isinstance(events, EventRows) else events_of(events)
        stamps = found.timestamps_us // 1000
        clocks = self._clocks((EVENTS, partition), stamps, found.offsets, end)
        hashes, amounts = hashes_of(found), found.rows.numbers[:, AMOUNT_MINOR].copy()
        for section, wanted in self._wanted.items():
            self._open[section].count(hashes, clocks, amounts, section, wanted)

    def labels(self, partition: int, labels: pa.Table, end: int) -> None:
        """Fold labels of one partition in offset order."""
        offsets = labels["offset"].to_numpy()
        clocks = self._clocks((LABELS, partition), stamps_ms(labels), offsets, end)
        self._open[layout.S_LABEL].add(label_tiles(self._ledger.effects(labels, clocks)))

    def open(self, kind: str, partition: int) -> None:
        """Take a partition into account that was not known at the start."""
        self.places.setdefault((kind, partition), Place())

    def promise(self, partition: Partition, end: int, until_ms: int) -> None:
        """From offset `end` on the partition's records carry `until_ms` or later."""
        place = self.places[partition]
        place.promises = [*place.promises[-PENDING:], (end, until_ms)]
        place.keep_promises()

    def frontier(self, kind: str) -> int:
        """How far all partitions of EVENTS or LABELS are folded, in milliseconds."""
        reached = (place.frontier for (of, _), place in self.places.items() if of == kind)
        return max(self.closed_ms[kind], min(reached, default=0))

    def newest(self) -> int:
        """The largest clock of any partition of EVENTS."""
        return max((p.clock for (kind, _), p in self.places.items() if kind == EVENTS), default=0)

    def close(self) -> Ints:
        """The tiles that the frontiers have passed since the last call; rows as in `OpenTiles`."""
        reached = {kind: self.frontier(kind) for kind in (EVENTS, LABELS)}
        closed = [
            self._close(section, reached[_kind(section)]) for section in range(layout.SECTIONS)
        ]
        self.closed_ms = reached
        return np.concatenate(closed)

    def positions(self) -> dict[str, tuple[int, int]]:
        """Where a new process goes on; labels are few and always folded from their beginning."""
        frontier = self.closed_ms[EVENTS]
        return {
            f"{kind}/{number}": place.restart(frontier)
            for (kind, number), place in self.places.items()
            if kind == EVENTS
        }

    def counted(self) -> dict[str, int]:
        """Up to where each partition's broken promises are in the count."""
        return {f"{kind}/{number}": place.counted for (kind, number), place in self.places.items()}

    def _clocks(self, partition: Partition, stamps: Ints, offsets: Ints, end: int) -> Ints:
        place = self.places[partition]
        clocks = clocks_after(place.clock, stamps)
        self.broken_promises += place.advance(offsets, clocks, end)
        return clocks

    def _close(self, section: int, reached_ms: int) -> Ints:
        length = layout.TILE_LENGTHS[section]
        first, end = self.closed_ms[_kind(section)] // length, reached_ms // length
        return self._open[section].close(first, end) if end > first else NO_TILES


def _wanted(feature_set: FeatureSet, section: int) -> Ints:
    """Rows (kind, column of its hashes) of the entities that have windows in a section."""
    entities = {plan.entity for plan in feature_set.shared if section in plan.sections}
    rows = [(k, HASH_OF[e]) for k, e in enumerate(SHARED_ENTITIES) if e in entities]
    return np.array(rows, dtype=np.int64).reshape(len(rows), 2)


def _kind(section: int) -> str:
    return LABELS if section == layout.S_LABEL else EVENTS


def needed_ms(kind: str, clock: int) -> int:
    """How far the frontier of EVENTS or LABELS must be for a reader with this clock."""
    if kind == EVENTS:
        return (clock - layout.TILE_DELAY) // layout.MINUTE * layout.MINUTE
    return (clock - layout.LABEL_DELAY) // layout.DAY * layout.DAY


def everything(partitions: Iterable[Partition]) -> TileFolder:
    """A folder that starts from nothing."""
    return TileFolder({partition: Place() for partition in partitions}, {EVENTS: 0, LABELS: 0})
