"""Tiles of a history that is over: every tile is closed, none is dropped."""

import numpy as np
import pyarrow as pa

from features.tile_fold import EVENTS, LABELS, TileFolder, everything
from features.tile_store import MemoryTileStore, TileManifest
from features.tile_writer import Keeping, write_closed

THE_END_MS = 1 << 45
"""The year 3084."""
ALL = Keeping(slack_ms=THE_END_MS, wall_ms=lambda: 0)


def folded(events: pa.Table, labels: pa.Table | None = None) -> MemoryTileStore:
    """The tiles of whole partitions, rows in any order, as the tile service would leave them."""
    parts = {EVENTS: events, LABELS: labels}
    known = [
        (kind, number)
        for kind, records in parts.items()
        for number in (_numbers(records) if records is not None else [])
    ]
    folder = everything(known)
    for kind, number in known:
        records = _partition(parts[kind], number)
        end = int(records["offset"][-1].as_py()) + 1
        (folder.events if kind == EVENTS else folder.labels)(number, records, end)
    return close_for_good(folder)


def close_for_good(folder: TileFolder) -> MemoryTileStore:
    """All tiles of a folder that has seen everything."""
    for kind in (EVENTS, LABELS):
        folder.open(kind, -1)  # a kind of which there was nothing is complete too
    for partition, place in folder.places.items():
        folder.promise(partition, place.offset, THE_END_MS)
    store = MemoryTileStore()
    store.begin(TileManifest("history"))
    write_closed(store, TileManifest("history"), folder, ALL)
    return store


def _numbers(records: pa.Table) -> list[int]:
    numbers: list[int] = np.unique(records["partition"].to_numpy()).tolist()
    return numbers


def _partition(records: pa.Table | None, number: int) -> pa.Table:
    if records is None:
        return pa.table({})
    own = records.filter(records["partition"].to_numpy() == number)
    return own.take(pa.array(np.argsort(own["offset"].to_numpy(), kind="stable")))
