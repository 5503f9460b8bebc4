"""Compile or load every kernel ahead of the first batch."""

import numpy as np
import pyarrow as pa

from contracts.columns import EVENT_SCHEMA
from features.engine import replay
from features.history import NoHistory
from features.partitioning import partitions_of
from features.serving import FeatureServer
from features.store import MemoryStateStore
from features.tile_history import folded
from features.tile_reader import TileReader
from features.tiles import OpenTiles, label_tiles

_TIME_US = 1_700_000_000_000_000


def load_kernels() -> None:
    """Replay and serve made-up events: seconds on the first run, then as long as a file read.

    One, then two: columns of a single row are contiguous in memory, which is another type of array,
    for which Numba compiles another kernel.
    """
    for count in (1, 2):
        events = _made_up(count)
        replay(events)
        partitions_of(events["card_id"], 4)
        tiles = TileReader(folded(events))
        server = FeatureServer(MemoryStateStore(), "warm-up", history=NoHistory(), tiles=tiles)
        server.ensure(0, 0)
        server.serve(events, committed={0: 0})
        OpenTiles().add(label_tiles(np.zeros((count, 3), dtype=np.int64)))


def _made_up(count: int) -> pa.Table:
    events = [
        {
            "partition": 0,
            "offset": offset,
            "timestamp_us": _TIME_US,
            "schema_version": 1,
            "transaction_id": f"warm-up-{offset}",
            "event_time": _TIME_US,
            "card_id": "warm-up",
            "merchant_id": "warm-up",
            "amount_minor": 1,
            "country": "DE",
            "device_id": "warm-up",
            "ip_prefix": "warm-up",
        }
        for offset in range(count)
    ]
    return pa.Table.from_pylist(events, schema=EVENT_SCHEMA)
