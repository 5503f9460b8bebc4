"""Cross-card features of a batch: wait until its tiles are complete, read them, compute."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from contracts.errors import TilesError
from features import layout
from features.definition import FEATURE_SET, FeatureSet
from features.encoding import HASH_OF, Encoded
from features.store import UNKNOWN
from features.tile_fold import EVENTS, LABELS, needed_ms
from features.tile_kernel import clock_of
from features.tile_numbers import FULL, SLOTS, Numbers, extremes, fill_from_tiles, fill_known
from features.tile_store import Blobs, TileManifest, TileStore

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.005
ROWS = SLOTS // 4
"""So many rows at a time: each may bring another entity, and all must fit the table."""
REMEDY = "See `fraud logs tiles`; the fallback rules decide meanwhile"


class TileReader:
    """Reads closed tiles; waits up to `wait_seconds` for a batch's to be complete.

    An entity's tiles are read once a minute: see `tile_numbers`. `on_wait` hears of every batch
    that is held up.
    """

    def __init__(
        self,
        store: TileStore,
        *,
        wait_seconds: float = 5.0,
        feature_set: FeatureSet = FEATURE_SET,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        on_wait: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._on_wait = on_wait
        self._wait_seconds = wait_seconds
        self._plans = feature_set.shared
        self._clock = clock
        self._sleep = sleep
        self._wall_ms = wall_ms
        self._generation = ""
        self._manifest: TileManifest | None = None
        self._oldest = 0
        self._numbers = [Numbers.empty(len(plan.windows)) for plan in self._plans]
        self._noted: dict[str, tuple[int, int]] = {}

    def fill(self, events: Encoded, clocks: Ints, values: Floats) -> None:
        """Write the cross-card columns of `values`; `clocks` are those of the events' partitions.

        Raises:
            TilesError: the tiles are not complete in time, or are no longer kept.
            StoreError: the store does not answer.
        """
        for start in range(0, len(clocks), ROWS):
            rows = slice(start, start + ROWS)
            part = Encoded(events.events[rows], events.hashes[rows])
            self._fill_rows(part, clocks[rows], values[rows])

    def _fill_rows(self, events: Encoded, clocks: Ints, values: Floats) -> None:
        oldest, newest = extremes(clocks)
        deadline = self._clock() + self._wait_seconds
        if not self._is_covered(newest, oldest):
            self._read({}, newest, oldest, deadline)
        amounts = events.events[:, layout.E_AMOUNT]
        lacking = [
            fill_known(
                events.hashes[:, HASH_OF[plan.entity]], clocks, amounts, plan.windows, plan.emits,
                held.names, held.read_up_to, held.numbers, values,
            )
            for plan, held in zip(self._plans, self._numbers, strict=True)
        ]  # fmt: skip
        if any(map(len, lacking)):
            self._fill_lacking(lacking, events, clocks, values, deadline)

    def _fill_lacking(
        self,
        lacking: Sequence[Ints],
        events: Encoded,
        clocks: Ints,
        values: Floats,
        deadline: float,
    ) -> None:
        """The rows of entities of which too little is known, from tiles that are read now."""
        columns = [events.hashes[:, HASH_OF[plan.entity]] for plan in self._plans]
        groups = [_grouped(column, rows) for column, rows in zip(columns, lacking, strict=True)]
        names: dict[str, Sequence[int]] = {
            plan.entity: column[order[bounds[:-1]]].tolist()
            for plan, column, (order, bounds) in zip(self._plans, columns, groups, strict=True)
            if len(order)
        }
        oldest, newest = extremes(clocks)
        blobs = self._read(names, newest, oldest, deadline)
        amounts = events.events[:, layout.E_AMOUNT]
        for plan, column, held, (order, bounds) in zip(
            self._plans, columns, self._numbers, groups, strict=True
        ):
            if held.taken + len(bounds) > FULL:
                held.forget()
            if len(order):
                held.taken += fill_from_tiles(
                    *joined(blobs[plan.entity]), order, bounds, column, clocks, amounts,
                    plan.windows, plan.emits, held.names, held.read_up_to, held.numbers, values,
                )  # fmt: skip

    def note(self, reader: str, clock: int) -> None:
        """Have kept what a reader needs that may come back to this clock.

        Told once per hour of events and of the wall.

        Raises:
            StoreError: the store does not answer.
        """
        wall_ms = self._wall_ms()
        marks = (clock // layout.HOUR, wall_ms // layout.HOUR)
        if clock != UNKNOWN and marks != self._noted.get(reader):
            self._store.note(reader, clock, wall_ms)
            self._noted[reader] = marks

    def reserve(self, reader: str, clock: int) -> None:
        """Note a reader that begins at this clock; when its tiles are gone, have all made anew.

        Raises:
            StoreError: the store does not answer.
        """
        self.note(reader, clock)
        manifest = self._store.manifest()
        if manifest is not None and self._has_dropped(manifest, clock):
            logger.warning("%s begins before the tiles that are kept: they are made anew", reader)
            self._store.forget()

    def _read(
        self, names: Mapping[str, Sequence[int]], newest: int, oldest: int, deadline: float
    ) -> Blobs:
        """Entities' tiles, under a manifest that makes them complete for a batch."""
        while True:
            manifest, blobs = self._store.read(self._generation, names)
            if manifest is not None and manifest.generation != self._generation:
                self._generation = manifest.generation
                for held in self._numbers:
                    held.forget()
            elif manifest is not None and is_complete(manifest, newest):
                self._refuse_dropped(manifest, oldest)
                self._manifest, self._oldest = manifest, self._oldest_readable(manifest)
                return blobs
            else:
                self._await(newest, deadline)

    def _is_covered(self, newest: int, oldest: int) -> bool:
        """Whether the manifest that was read last makes a batch complete."""
        manifest = self._manifest
        return manifest is not None and oldest >= self._oldest and is_complete(manifest, newest)

    def _await(self, newest: int, deadline: float) -> None:
        self._on_wait()
        while True:
            manifest = self._store.manifest()
            if manifest is not None and is_complete(manifest, newest):
                return
            if self._clock() >= deadline:
                raise TilesError(
                    f"tiles were not complete within {self._wait_seconds:g} s",
                    value=None if manifest is None else newest - manifest.transactions_ms,
                    remedy=REMEDY,
                )
            self._sleep(POLL_SECONDS)

    def _refuse_dropped(self, manifest: TileManifest, oldest: int) -> None:
        """A batch from long ago needs tiles that were dropped when nothing read them any more."""
        if self._has_dropped(manifest, oldest):
            raise TilesError(
                "the batch is older than the tiles that are kept", value=oldest, remedy=REMEDY
            )

    def _has_dropped(self, manifest: TileManifest, oldest: int) -> bool:
        return oldest < self._oldest_readable(manifest)

    def _oldest_readable(self, manifest: TileManifest) -> int:
        """The first clock whose windows begin with tiles that are kept, whichever they are."""
        return max(
            [0]
            + [
                clock_of(section, manifest.kept_from[section] + length)
                for plan in self._plans
                for section, length, _ in plan.windows.tolist()
                if manifest.kept_from[section] > 0
            ]
        )


def _grouped(column: Ints, rows: Ints) -> tuple[Ints, Ints]:
    """Rows by entity, and each entity's bounds."""
    if len(rows) < 2:
        return rows, np.arange(len(rows) + 1)
    order = rows[np.argsort(column[rows], kind="stable")]
    sorted_names = column[order]
    edges = np.flatnonzero(sorted_names[1:] != sorted_names[:-1]) + 1
    return order, np.concatenate(([0], edges, [len(order)]))


def is_complete(manifest: TileManifest, clock: int) -> bool:
    """Whether every tile that a reader with this clock may see has been written."""
    events_end, labels_end = needed_ms(EVENTS, clock), needed_ms(LABELS, clock)
    return manifest.transactions_ms >= events_end and manifest.labels_ms >= labels_end


def joined(blobs: Sequence[bytes | None]) -> tuple[NDArray[np.uint8], Ints]:
    """Bytes of several entities one after the other, and their bounds."""
    sizes = [0, *(0 if blob is None else len(blob) for blob in blobs)]
    content = b"".join(blob or b"" for blob in blobs) or b"\0"
    return np.frombuffer(content, dtype=np.uint8), np.cumsum(sizes)
