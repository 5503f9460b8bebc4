"""Cross-card features of a batch: wait until its tiles are complete, read them, compute."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.errors import TilesError
from features import layout
from features.definition import FEATURE_SET, FeatureSet
from features.shared_plan import SharedPlan
from features.shared_replay import grouped
from features.store import UNKNOWN
from features.tile_fold import EVENTS, LABELS, needed_ms
from features.tile_kernel import end_tile
from features.tile_packing import serve_entities
from features.tile_store import Blobs, TileManifest, TileStore
from features.tiles import Occurrences

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.005
KNOWN_BYTES = 64 * 1024 * 1024
"""Beyond this what was read is forgotten; a minute's entities take far less."""
ENTRY_BYTES = 100
"""What an entity takes beside its tiles, about."""
REMEDY = "See `fraud logs tiles`; the fallback rules decide meanwhile"


@dataclass(frozen=True, slots=True)
class _Group:
    """A batch's rows by entity of one kind."""

    plan: SharedPlan
    order: Ints
    bounds: Ints
    names: Ints


@dataclass(slots=True)
class _Known:
    """Tiles that were read while `manifest` held, or later: closed ones never change again.

    A batch that this manifest makes complete needs no other, whatever has become of the store.
    """

    manifest: TileManifest | None = None
    blobs: dict[str, dict[int, bytes | None]] = field(default_factory=dict)
    size: int = 0

    def missing(self, names: Mapping[str, Sequence[int]]) -> dict[str, list[int]]:
        """The entities of which nothing was read."""
        lacking = {
            kind: [name for name in wanted if name not in self.blobs.get(kind, ())]
            for kind, wanted in names.items()
        }
        return {kind: wanted for kind, wanted in lacking.items() if wanted}

    def add(self, manifest: TileManifest, names: Mapping[str, Sequence[int]], blobs: Blobs) -> None:
        """Take what was read under this manifest, or a later one of its generation."""
        held = self.manifest or manifest
        self.manifest = replace(held, kept_from=manifest.kept_from)
        for kind, wanted in names.items():
            found = blobs.get(kind, [])
            self.blobs.setdefault(kind, {}).update(zip(wanted, found, strict=True))
            self.size += sum(ENTRY_BYTES + len(blob or b"") for blob in found)

    def of(self, names: Mapping[str, Sequence[int]]) -> Blobs:
        """What is known of these entities."""
        return {kind: [self.blobs[kind][name] for name in wanted] for kind, wanted in names.items()}


class TileReader:
    """Reads closed tiles; waits up to `wait_seconds` for a batch's to be complete.

    Tiles are asked for once per entity while one manifest covers the batches: about a minute.
    `on_wait` hears of every batch that is held up.
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
        self._known = _Known()
        self._noted: dict[str, tuple[int, int]] = {}

    def fill(self, events: pa.Table, clocks: Ints, values: Floats) -> None:
        """Write the cross-card columns of `values`; `clocks` are those of the events' partitions.

        Raises:
            TilesError: the tiles are not complete in time, or are no longer kept.
            StoreError: the store does not answer.
        """
        seen = Occurrences.of(events, clocks, [plan.entity for plan in self._plans])
        sequence = np.arange(len(events))
        groups = [
            _Group(plan, *grouped(seen.entities[plan.entity], sequence)) for plan in self._plans
        ]
        blobs = self._read(groups, clocks)
        for group in groups:
            content, bounds = joined(blobs.get(group.plan.entity, []))
            serve_entities(
                content, bounds, group.order, group.bounds, seen.clocks, seen.amounts,
                group.plan.windows, group.plan.emits, values,
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

    def _read(self, groups: Sequence[_Group], clocks: Ints) -> Blobs:
        names: Mapping[str, Sequence[int]] = {
            g.plan.entity: g.names.tolist() for g in groups if len(g.names)
        }
        newest, oldest = int(clocks.max()), int(clocks.min())
        deadline = self._clock() + self._wait_seconds
        if not self._is_known(newest, oldest):
            self._known = _Known()
        missing = self._known.missing(names)
        while missing or self._known.manifest is None:
            manifest, blobs = self._store.read(self._generation, missing)
            if manifest is not None and manifest.generation != self._generation:
                self._generation, self._known = manifest.generation, _Known()
                missing = self._known.missing(names)
            elif manifest is not None and is_complete(manifest, newest):
                self._refuse_dropped(manifest, oldest)
                self._known.add(manifest, missing, blobs)
                break
            else:
                self._await(newest, deadline)
        return self._known.of(names)

    def _is_known(self, newest: int, oldest: int) -> bool:
        """Whether what was read before is still all that a batch may see."""
        manifest = self._known.manifest
        return (
            manifest is not None
            and self._known.size < KNOWN_BYTES
            and is_complete(manifest, newest)
            and not self._has_dropped(manifest, oldest)
        )

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
        return any(
            end_tile(section, oldest) - length < manifest.kept_from[section]
            and manifest.kept_from[section] > 0
            for plan in self._plans
            for section, length, _ in plan.windows.tolist()
        )


def is_complete(manifest: TileManifest, clock: int) -> bool:
    """Whether every tile that a reader with this clock may see has been written."""
    events_end, labels_end = needed_ms(EVENTS, clock), needed_ms(LABELS, clock)
    return manifest.transactions_ms >= events_end and manifest.labels_ms >= labels_end


def joined(blobs: Sequence[bytes | None]) -> tuple[NDArray[np.uint8], Ints]:
    """Bytes of several entities one after the other, and their bounds."""
    sizes = [0, *(0 if blob is None else len(blob) for blob in blobs)]
    content = b"".join(blob or b"" for blob in blobs) or b"\0"
    return np.frombuffer(content, dtype=np.uint8), np.cumsum(sizes)
