"""`fraud tiles`: the one writer of cross-card tiles.

It follows transactions and labels over all partitions, folds them in memory, and writes a tile when
no partition can add to it any more. After a restart it goes on from what the store says.
"""

import logging
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from contracts.errors import StateError
from contracts.frontiers import LIVE_MS, Promise
from contracts.transaction_rows import EventRows
from features import layout
from features.tile_fold import EVENTS, LABELS, Partition, Place, TileFolder
from features.tile_store import TileManifest, TileStore
from features.tile_writer import Keeping, write_closed

logger = logging.getLogger(__name__)

BUSY_SECONDS, IDLE_SECONDS = 1.0, 0.02
"""Between two writes: while there is a backlog, and when there is none."""
BACKLOG_RECORDS = 5_000
"""Who gets more at a time has a backlog."""
WALL_SLACK_MS = 2_000
"""A live publisher's record may arrive this long after its timestamp."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """Records of one partition in offset order, and the offset after them."""

    partition: Partition
    records: EventRows | pa.Table
    end: int


class TileSource(Protocol):
    """Where records come from."""

    def partitions(self) -> Sequence[Partition]:
        """All partitions of both topics."""

    def seek(self, offsets: Mapping[Partition, int]) -> None:
        """Go on from these offsets."""

    def poll(self) -> Sequence[Arrived]:
        """What has arrived; waits briefly when nothing has."""

    def promises(self) -> Sequence[tuple[Partition, int, int]]:
        """Promises heard since the last call: partition, offset, and the milliseconds until."""

    def idle_ends(self) -> Mapping[Partition, int] | None:
        """The end of each partition now, when their time is the wall's; else None."""


class TileService:
    """Folds what a source gives into a store."""

    def __init__(
        self,
        store: TileStore,
        source: TileSource,
        *,
        keeping: Keeping | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._store = store
        self._source = source
        self._keeping = keeping or Keeping()
        self._clock = clock
        self._wall_ms = wall_ms
        self._written_at = clock()
        self.manifest = TileManifest("")
        self.folder = TileFolder({}, {EVENTS: 0, LABELS: 0})

    @property
    def broken_promises(self) -> int:
        """Records behind a promise since the tiles were begun: tiles made anew hold them."""
        return self.folder.broken_promises

    def start(self) -> None:
        """Take up what the store holds, or begin anew."""
        manifest = self._store.manifest()
        if manifest is None:
            manifest = TileManifest(uuid.uuid4().hex[:12])
            self._store.begin(manifest)
        self.manifest = manifest
        places = {partition: _place(manifest, partition) for partition in self._source.partitions()}
        closed = {EVENTS: manifest.transactions_ms, LABELS: manifest.labels_ms}
        self.folder = TileFolder(places, closed, manifest.broken_promises)
        self._source.seek({partition: place.offset for partition, place in places.items()})
        logger.info("folding from %s", {f"{k}/{p}": x.offset for (k, p), x in places.items()})

    def step(self) -> int:
        """Fold what has arrived and write what has closed; how many records there were."""
        count = 0
        before = self.broken_promises
        for arrived in self._source.poll():
            self._fold(arrived)
            count += len(arrived.records)
        for partition, end, until_ms in self._source.promises():
            self.folder.promise(partition, end, until_ms)
        self._report_broken(before)
        pause = BUSY_SECONDS if count > BACKLOG_RECORDS else IDLE_SECONDS
        if self._clock() - self._written_at >= pause:
            self.write()
        return count

    def write(self) -> None:
        """Write what has closed; start over when the store is not as this process left it."""
        self._written_at = self._clock()
        self._follow_wall()
        held = self._store.manifest()
        if held is None or held.to_json() != self.manifest.to_json():
            logger.warning("the tiles were wiped or begun anew: starting over from the store")
            self.start()
            return
        if not self._has_moved() and self.broken_promises == self.manifest.broken_promises:
            return
        try:
            self.manifest = write_closed(self._store, self.manifest, self.folder, self._keeping)
        except StateError as error:
            logger.warning("%s", error)
            self.start()

    def _fold(self, arrived: Arrived) -> None:
        (kind, number), records = arrived.partition, arrived.records
        if kind == EVENTS:
            self.folder.events(number, records, arrived.end)
        else:
            self.folder.labels(number, records, arrived.end)

    def _has_moved(self) -> bool:
        """Whether a minute has passed on the events' side, or a day on that of labels."""
        events, labels = self.folder.frontier(EVENTS), self.folder.frontier(LABELS)
        return (
            events // layout.MINUTE > self.manifest.transactions_ms // layout.MINUTE
            or labels // layout.DAY > self.manifest.labels_ms // layout.DAY
        )

    def _follow_wall(self) -> None:
        """On a live topic a partition that has been read to its end keeps up with the wall."""
        now_ms = self._wall_ms() - WALL_SLACK_MS
        if self.folder.newest() < now_ms - LIVE_MS:
            return
        late = [p for p, place in self.folder.places.items() if place.frontier < now_ms - 1_000]
        ends = self._source.idle_ends() if late else None
        for partition in late:
            if ends is not None and self.folder.places[partition].offset >= ends[partition]:
                self.folder.promise(partition, ends[partition], now_ms)

    def _report_broken(self, before: int) -> None:
        if self.broken_promises > before:
            logger.error(
                "INCIDENT: %d records carry a timestamp before what was promised; tiles that had "
                "closed lack them, and recomputed features will differ",
                self.broken_promises - before,
            )


def _place(manifest: TileManifest, partition: Partition) -> Place:
    kind, number = partition
    offset, clock = manifest.positions.get(f"{kind}/{number}", (0, 0))
    day = manifest.transactions_ms // layout.DAY
    days = deque([(day, offset, clock)] if offset else [])
    return Place(offset, clock, counted=manifest.counted.get(f"{kind}/{number}", 0), days=days)


class QueuedPromises:
    """Promises of whole topics, told per partition."""

    def __init__(self, topics: Mapping[str, str]) -> None:
        self._topics = topics
        self._waiting: list[tuple[Partition, int, int]] = []
        self.heard = 0

    def hear(self, promise: Promise) -> None:
        """Take note of a promise; `topics` says which topics are meant."""
        self.heard += 1
        for topic, ends in promise.ends.items():
            if topic in self._topics:
                kind = self._topics[topic]
                self._waiting += [((kind, p), end, promise.until_ms) for p, end in ends.items()]

    def take(self) -> Sequence[tuple[Partition, int, int]]:
        """What was heard since the last call."""
        taken, self._waiting = self._waiting, []
        return taken
