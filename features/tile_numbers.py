"""What was read of entities' tiles, kept as the numbers that features are made of.

Tiles that have closed never change, so an entity's numbers hold until one of its windows ends with
another tile: about a minute. Slots are found by the entity's hash, with linear probing.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features import layout
from features.card_memory import clamped
from features.compiled import kernel, part
from features.tile_kernel import NUMBERS, ROOM, emit_missing, emit_shared, end_tile, read_tiles
from features.tile_packing import get_tiles

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

SLOTS = 1 << 16
"""A power of two; when three quarters are taken all is forgotten, which costs reading again."""
FULL = SLOTS // 4 * 3


@dataclass(slots=True)
class Numbers:
    """Of slot s: the entity `names[s]` (0: free), the tiles where its windows ended, numbers."""

    names: Ints
    read_up_to: Ints
    numbers: Ints
    taken: int = 0

    @classmethod
    def empty(cls, windows: int) -> "Numbers":
        """Room for SLOTS entities; memory is taken as they come."""
        return cls(
            np.zeros(SLOTS, dtype=np.int64),
            np.empty((SLOTS, windows), dtype=np.int64),
            np.empty((SLOTS, windows, NUMBERS), dtype=np.int64),
        )

    def forget(self) -> None:
        """Nothing is known any more."""
        self.names[:] = 0
        self.taken = 0


@kernel
def extremes(clocks: Ints) -> tuple[int, int]:
    """The smallest and the largest of some clocks."""
    return clocks.min(), clocks.max()


@part
def slot_of(names: Ints, entity: int) -> int:
    """The slot that holds an entity, or the free one where it belongs."""
    slot = entity & (SLOTS - 1)
    while names[slot] != 0 and names[slot] != entity:
        slot = (slot + 1) & (SLOTS - 1)
    return slot


@kernel
def fill_known(
    entities: Ints,
    clocks: Ints,
    amounts: Ints,
    windows: Ints,
    emits: Ints,
    names: Ints,
    read_up_to: Ints,
    numbers: Ints,
    values: Floats,
) -> Ints:
    """Features of the rows whose entity's numbers are known for their clock; the other rows."""
    lacking = np.empty(len(entities), dtype=np.int64)
    count = 0
    for row in range(len(entities)):
        if entities[row] == 0:
            emit_missing(emits, values, row)
            continue
        slot = slot_of(names, entities[row])
        is_known = names[slot] == entities[row]
        for k in range(len(windows)):
            is_known &= read_up_to[slot, k] == end_tile(windows[k, 0], clocks[row])
        if is_known:
            emit_shared(emits, numbers[slot], clamped(amounts[row]), values, row)
        else:
            lacking[count] = row
            count += 1
    return lacking[:count]


@kernel
def fill_from_tiles(
    blobs: NDArray[np.uint8],
    blob_bounds: Ints,
    order: Ints,
    bounds: Ints,
    entities: Ints,
    clocks: Ints,
    amounts: Ints,
    windows: Ints,
    emits: Ints,
    names: Ints,
    read_up_to: Ints,
    numbers: Ints,
    values: Floats,
) -> int:
    """Features of rows order[bounds[e]:bounds[e + 1]] from entity e's bytes, and remember them.

    Returns how many entities are new.
    """
    ends = np.zeros(layout.SECTIONS, np.int64)
    tiles = np.zeros((layout.SECTIONS, ROOM, layout.TILE_WIDTH), np.int64)
    fresh = 0
    for e in range(len(bounds) - 1):
        slot = slot_of(names, entities[order[bounds[e]]])
        fresh += names[slot] == 0
        names[slot] = entities[order[bounds[e]]]
        read_up_to[slot] = layout.MISSING
        tiles = get_tiles(blobs, blob_bounds[e], blob_bounds[e + 1], tiles, ends)
        for i in range(bounds[e], bounds[e + 1]):
            row = order[i]
            read_tiles(tiles, ends, clocks[row], read_up_to[slot], windows, numbers[slot])
            emit_shared(emits, numbers[slot], clamped(amounts[row]), values, row)
    return fresh
