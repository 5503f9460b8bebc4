"""Writing closed tiles, in an order that a crash between any two writes cannot spoil.

1. each entity's bytes, old tiles and closed ones; 2. the manifest with the new frontiers. A crash
before 2 leaves tiles that no reader is told of: the next process folds the same records and writes
the same tiles under the same ids. What is dropped as too old was announced by the manifest before.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from features import layout
from features.feature import SHARED_ENTITIES
from features.tile_fold import EVENTS, LABELS, TileFolder
from features.tile_packing import R_ENTITY, R_SECTION, R_TILE, merge_all
from features.tile_reader import joined
from features.tile_store import TileManifest, TileStore
from features.tiles import R_KIND

Ints = NDArray[np.int64]

LONGEST = (60, 24, 30, 30)
"""Tiles of the longest window by section."""
FORGOTTEN_MS = 7 * layout.DAY
"""A reader that has not been heard of for so long, by the wall, is taken to have been given up."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long closed tiles are kept: for readers, and `slack_ms` beyond the longest window."""

    slack_ms: int = layout.DAY
    wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000

    def oldest(self, store: TileStore, newest: int) -> int:
        """The clock from which on every tile is kept that somebody may read."""
        heard = self.wall_ms() - FORGOTTEN_MS
        clocks = (clock for clock, wall in store.readers().values() if wall > heard)
        return min([newest - self.slack_ms, *clocks])


def write_closed(
    store: TileStore, manifest: TileManifest, folder: TileFolder, keeping: Keeping
) -> TileManifest:
    """Close what can be closed and write it; the manifest that is now current.

    Raises:
        StateError: the store was wiped or begun anew.
        StoreError: the store does not answer.
    """
    for kind, rows in _by_kind(folder.close()):
        _merge(store, manifest, kind, rows)
    after = replace(
        manifest,
        transactions_ms=folder.closed_ms[EVENTS],
        labels_ms=folder.closed_ms[LABELS],
        kept_from=_kept_from(manifest, keeping.oldest(store, folder.closed_ms[EVENTS])),
        positions=folder.positions(),
        broken_promises=folder.broken_promises,
        counted=folder.counted(),
    )
    store.mark(after)
    if after.transactions_ms // layout.DAY > manifest.transactions_ms // layout.DAY:
        _sweep(store, manifest)
    return after


def _by_kind(closed: Ints) -> Iterator[tuple[str, Ints]]:
    """Rows (entity, section, tile) by kind of entity, sorted by their first columns."""
    for kind, entity in enumerate(SHARED_ENTITIES):
        own = closed[closed[:, R_KIND] == kind, :R_KIND]
        if len(own):
            order = np.lexsort((own[:, R_TILE], own[:, R_SECTION], own[:, R_ENTITY]))
            yield entity, own[order]


def _merge(store: TileStore, manifest: TileManifest, kind: str, rows: Ints) -> None:
    edges = np.flatnonzero(np.diff(rows[:, R_ENTITY])) + 1
    bounds = np.concatenate(([0], edges, [len(rows)]))
    names = rows[bounds[:-1], R_ENTITY].tolist()
    _rewrite(store, manifest, kind, names, rows, bounds)


def _rewrite(
    store: TileStore,
    manifest: TileManifest,
    kind: str,
    names: Sequence[int],
    rows: Ints,
    bounds: Ints,
) -> None:
    _, held = store.read(manifest.generation, {kind: names})
    kept_from = np.array(manifest.kept_from, dtype=np.int64)
    data, ends = merge_all(*joined(held[kind]), rows, bounds, kept_from)
    content, places = data.tobytes(), ends.tolist()
    blobs = (content[a:b] for a, b in itertools.pairwise(places))
    written = {name: blob if any(blob) else b"" for name, blob in zip(names, blobs, strict=True)}
    store.write(manifest.generation, kind, written)


def _kept_from(manifest: TileManifest, oldest: int) -> tuple[int, ...]:
    """The first tile of each section that a reader at the oldest clock may ask for."""
    return tuple(
        max(manifest.kept_from[s], oldest // layout.TILE_LENGTHS[s] - LONGEST[s] - 2)
        for s in range(layout.SECTIONS)
    )


SWEPT = 5_000
"""Entities looked at together."""


def _sweep(store: TileStore, manifest: TileManifest) -> None:
    """Drop old tiles of entities that nothing happens at any more."""
    none = np.empty((0, R_TILE + layout.TILE_WIDTH), dtype=np.int64)
    for kind in SHARED_ENTITIES:
        names = store.names(manifest.generation, kind)
        for start in range(0, len(names), SWEPT):
            part = names[start : start + SWEPT]
            _rewrite(store, manifest, kind, part, none, np.zeros(len(part) + 1, dtype=np.int64))
