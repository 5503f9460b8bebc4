"""A tile service's source made of tables, and a store whose process dies where it is told."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
from feature_stream import KilledError

from features.tile_fold import EVENTS, LABELS, Partition
from features.tile_history import THE_END_MS
from features.tile_service import Arrived, TileService
from features.tile_store import Blobs, MemoryTileStore, TileManifest, TileStore
from features.tile_writer import Keeping


@dataclass
class TableSource:
    """Gives the rows of each partition in chunks, the partitions in the order of `turns`."""

    events: pa.Table
    labels: pa.Table
    turns: Sequence[int]
    chunk: int = 5
    at: dict[Partition, int] = field(default_factory=dict)
    turn: int = 0
    ended: bool = False

    def partitions(self) -> Sequence[Partition]:
        """See `TileSource`; some may have no rows."""
        return [*((EVENTS, number) for number in range(3)), (LABELS, 0), (LABELS, 1)]

    def seek(self, offsets: Mapping[Partition, int]) -> None:
        """See `TileSource`."""
        self.at = dict(offsets)
        self.ended = False

    def poll(self) -> Sequence[Arrived]:
        """One chunk of the partition whose turn it is."""
        places = self.partitions()
        place = places[self.turns[self.turn % len(self.turns)] % len(places)]
        self.turn += 1
        rows = self._rows(place).slice(0, self.chunk)
        if len(rows) == 0:
            return []
        self.at[place] = rows["offset"][-1].as_py() + 1
        return [Arrived(place, rows, self.at[place])]

    def promises(self) -> Sequence[tuple[Partition, int, int]]:
        """Nothing until everything has been read; then that there will be nothing more."""
        if self.ended or any(len(self._rows(place)) for place in self.partitions()):
            return []
        self.ended = True
        return [(place, self.at.get(place, 0), THE_END_MS) for place in self.partitions()]

    def idle_ends(self) -> Mapping[Partition, int] | None:
        """See `TileSource`; these topics are not live."""
        return None

    def _rows(self, place: Partition) -> pa.Table:
        table = self.events if place[0] == EVENTS else self.labels
        own = table.filter(table["partition"].to_numpy() == place[1])
        return own.filter(own["offset"].to_numpy() >= self.at.get(place, 0))


@dataclass
class DyingTileStore:
    """A store whose process dies before or after its n-th write, or that is wiped before it."""

    inner: TileStore = field(default_factory=MemoryTileStore)
    fates: dict[int, str] = field(default_factory=dict)
    writes: int = 0

    def manifest(self) -> TileManifest | None:
        """See `TileStore`."""
        return self.inner.manifest()

    def read(
        self, generation: str, names: Mapping[str, Sequence[int]]
    ) -> tuple[TileManifest | None, Blobs]:
        """See `TileStore`."""
        return self.inner.read(generation, names)

    def write(self, generation: str, kind: str, tiles: Mapping[int, bytes]) -> None:
        """See `TileStore`."""
        self._die("before")
        self.inner.write(generation, kind, tiles)
        self._die("after")
        self.writes += 1

    def mark(self, manifest: TileManifest) -> None:
        """See `TileStore`."""
        self._die("before")
        self.inner.mark(manifest)
        self._die("after")
        self.writes += 1

    def begin(self, manifest: TileManifest) -> None:
        """See `TileStore`."""
        self.inner.begin(manifest)

    def names(self, generation: str, kind: str) -> Sequence[int]:
        """See `TileStore`."""
        return self.inner.names(generation, kind)

    def forget(self) -> None:
        """See `TileStore`."""
        self.inner.forget()

    def note(self, reader: str, clock_ms: int, wall_ms: int) -> None:
        """See `TileStore`."""
        self.inner.note(reader, clock_ms, wall_ms)

    def readers(self) -> Mapping[str, tuple[int, int]]:
        """See `TileStore`."""
        return self.inner.readers()

    def _die(self, moment: str) -> None:
        fate = self.fates.get(self.writes)
        if fate == "wiped":
            del self.fates[self.writes]
            self.inner = MemoryTileStore()
        elif fate == moment:
            del self.fates[self.writes]
            raise KilledError


def ticking() -> Iterable[float]:
    """A clock on which every look is a second later: the service writes after each step."""
    now = 0.0
    while True:
        now += 10.0
        yield now


def run_service(store: TileStore, source: TableSource, *, keep_all: bool = True) -> TileService:
    """Run until everything has been folded and closed, with a new process after each death."""
    while True:
        clock = iter(ticking())
        keeping = Keeping(THE_END_MS, lambda: 0) if keep_all else Keeping(0, lambda: 0)
        service = TileService(
            store, source, keeping=keeping, clock=lambda clock=clock: next(clock), wall_ms=lambda: 0
        )
        try:
            service.start()
            while min(service.manifest.transactions_ms, service.manifest.labels_ms) < THE_END_MS:
                service.step()
        except KilledError:
            continue
        return service
