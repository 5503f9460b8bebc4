"""A scorer in small: feeds a partition to a feature server in batches, and dies where it is told.

What it checks is the promise behind every decision: whatever happens, each event's features are
those of one replay of the whole history.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.errors import StateError
from features.engine import FeatureMatrix, replay
from features.serving import FeatureServer
from features.store import (
    UNKNOWN,
    Manifest,
    MemoryStateStore,
    OneByOne,
    StateStore,
    Stored,
    Written,
)
from features.tile_history import folded
from features.tile_reader import TileReader
from features.tile_store import TileStore


class KilledError(Exception):
    """The process ended here."""


class TableHistory:
    """A topic that is a table."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def first_offset(self, partition: int) -> int:
        """See `History`."""
        return 0

    def read(self, partition: int, start: int, end: int) -> Iterator[pa.Table]:
        """See `History`; two tables, as a topic comes in several."""
        rows = of_partition(self._table, partition)
        offsets = rows["offset"].to_numpy()
        wanted = rows.filter((offsets >= start) & (offsets < end))
        half = len(wanted) // 2
        yield from (part for part in (wanted.slice(0, half), wanted.slice(half)) if len(part))


def of_partition(table: pa.Table, partition: int) -> pa.Table:
    """The rows of one partition, in offset order."""
    return table.filter(table["partition"].to_numpy() == partition)


@dataclass
class DyingStore(OneByOne):
    """A store whose process dies before or after its n-th write, or that is wiped before it."""

    inner: StateStore
    deaths: dict[int, str] = field(default_factory=dict)
    writes: int = 0

    def manifest(self, partition: int) -> Manifest | None:
        """See `StateStore`."""
        return self.inner.manifest(partition)

    def read(self, partition: int, generation: str, cards: Sequence[str]) -> Stored:
        """See `StateStore`."""
        return self.inner.read(partition, generation, cards)

    def write(self, partition: int, written: Written) -> None:
        """See `StateStore`."""
        self._die("before")
        self.inner.write(partition, written)
        self._die("after")
        self.writes += 1

    def begin(self, partition: int, generation: str) -> None:
        """See `StateStore`."""
        self._die("before")
        self.inner.begin(partition, generation)
        self._die("after")
        self.writes += 1

    def mark(self, partition: int, manifest: Manifest, served: int = UNKNOWN) -> None:
        """See `StateStore`."""
        self._die("before")
        self.inner.mark(partition, manifest, served)
        self._die("after")
        self.writes += 1

    def _die(self, moment: str) -> None:
        fate = self.deaths.get(self.writes)
        if fate == "wiped":
            del self.deaths[self.writes]
            self.inner = MemoryStateStore()
        elif fate == moment:
            del self.deaths[self.writes]
            raise KilledError


@dataclass
class Scorer:
    """One partition's consumer: cuts its offsets into batches, commits, and starts again."""

    table: pa.Table
    store: StateStore
    batch_sizes: Sequence[int]
    rewinds: Sequence[int] = ()
    tiles: TileStore | None = None
    truth: FeatureMatrix | None = None
    reader: TileReader = field(init=False)
    seen: list[tuple[int, FeatureMatrix]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Without tiles or truth: both of the table, and no label."""
        self.truth = self.truth or replay(self.table)
        self.reader = TileReader(self.tiles or folded(self.table))

    def run(self, partition: int) -> None:
        """Serve the whole partition, restarting after each death and rewinding when told."""
        rows = of_partition(self.table, partition)
        committed, turn = 0, 0
        server = self._server()
        while committed < len(rows):
            size = self.batch_sizes[turn % len(self.batch_sizes)]
            turn += 1
            try:
                self._batch(server, rows, committed, min(committed + size, len(rows)))
            except KilledError:
                server = self._server()
                continue
            except StateError:
                pass  # wiped twice within one batch: the fallback tier decides this one
            committed = min(committed + size, len(rows))
            if turn <= len(self.rewinds):  # an older checkpoint
                committed = max(0, committed - self.rewinds[turn - 1])
                server = self._server() if self.rewinds[turn - 1] else server

    def _server(self) -> FeatureServer:
        past = TableHistory(self.table)
        return FeatureServer(self.store, "test", history=past, tiles=self.reader)

    def _batch(self, server: FeatureServer, rows: pa.Table, start: int, end: int) -> None:
        offsets = rows["offset"].to_pylist()
        partition = rows["partition"][0].as_py()
        first = offsets[start]
        after = offsets[end - 1] + 1
        server.ensure(partition, first)
        middle = (start + end) // 2
        for low, high in ((start, middle), (middle, end)):  # a micro-batch in two chunks
            chunk = rows.slice(low, high - low)
            if len(chunk):
                self.seen.append((low, serve_or_recover(server, chunk, partition, first)))
        server.mark({partition: (first, after)})


def serve_or_recover(
    server: FeatureServer, chunk: pa.Table, partition: int, committed: int
) -> FeatureMatrix:
    """What a scorer does: on unusable state ensure it and try once more."""
    try:
        return server.serve(chunk, committed={partition: committed})
    except StateError:
        server.ensure(partition, chunk["offset"][0].as_py())
        return server.serve(chunk, committed={partition: committed})


def of_rows(matrix: FeatureMatrix, rows: NDArray[np.bool_]) -> FeatureMatrix:
    """Some rows of a matrix."""
    return FeatureMatrix(matrix.values[rows], matrix.is_late[rows], matrix.is_duplicate[rows])


def mismatches(scorer: Scorer, partition: int) -> int:
    """Of everything that was ever served, the numbers and flags that one replay gives otherwise."""
    own = scorer.table["partition"].to_numpy() == partition
    truth = of_rows(scorer.truth or replay(scorer.table), own)
    wrong = 0
    for start, served in scorer.seen:
        span = slice(start, start + len(served.values))
        same = (served.values == truth.values[span]) | (
            np.isnan(served.values) & np.isnan(truth.values[span])
        )
        wrong += int((~same).sum())
        wrong += int((served.is_late != truth.is_late[span]).sum())
        wrong += int((served.is_duplicate != truth.is_duplicate[span]).sum())
    return wrong
