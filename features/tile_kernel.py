"""Windows over tiles: what a transaction may know of everybody's events at one entity.

A tile is complete when it is read, so its numbers are the same whoever reads it and whenever.
"""

import math

import numpy as np
from numpy.typing import NDArray

from features import layout
from features.compiled import part

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Cube = NDArray[np.int64]
"""An entity's tiles [section, n, TILE_WIDTH], those of a section in the order of their ids."""

NAN = math.nan
N_COUNT, N_SUM, N_CARDS = range(3)
NUMBERS = 3
NEAR = 6
ROOM = 1024
"""Tiles of one section for which there is room from the start."""


def _estimates() -> Ints:
    """Cards by the number of bits set: linear counting (Whang et al. 1990), to the integer."""
    clear = np.maximum(layout.BITS - np.arange(layout.BITS + 1), 1)
    estimates: Ints = np.rint(-layout.BITS * np.log(clear / layout.BITS)).astype(np.int64)
    return estimates


CARDS = _estimates()

PAIRS, FOURS = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333)
BYTES, EACH_BYTE = np.uint64(0x0F0F0F0F0F0F0F0F), np.uint64(0x0101010101010101)


@part
def ones(word: np.int64) -> np.int64:
    """How many bits of a word are set: pairs, then fours, then bytes added up side by side."""
    rest = np.uint64(word)
    rest -= (rest >> np.uint64(1)) & PAIRS
    rest = (rest & FOURS) + ((rest >> np.uint64(2)) & FOURS)
    rest = (rest + (rest >> np.uint64(4))) & BYTES
    return np.int64((rest * EACH_BYTE) >> np.uint64(56))


@part
def tile_at(section: int, time: int) -> int:
    """The tile of a section that a moment falls into; dividing by constants is cheap."""
    if section == layout.S_MINUTE:
        return time // layout.MINUTE
    if section == layout.S_HOUR:
        return time // layout.HOUR
    return time // layout.DAY


@part
def tile_length(section: int) -> int:
    """How long a tile of a section is; choosing is quicker than reading a table."""
    if section == layout.S_MINUTE:
        return layout.MINUTE
    if section == layout.S_HOUR:
        return layout.HOUR
    return layout.DAY


@part
def end_tile(section: int, clock: int) -> int:
    """The first tile of a section that has not ended in time for a reader at this clock."""
    delay = layout.LABEL_DELAY if section == layout.S_LABEL else layout.TILE_DELAY
    return tile_at(section, clock - delay)


def clock_of(section: int, tile: int) -> int:
    """The first clock for whose reader all tiles of a section before this one have ended."""
    delay = layout.LABEL_DELAY if section == layout.S_LABEL else layout.TILE_DELAY
    return tile * layout.TILE_LENGTHS[section] + delay


@part
def count_before(tiles: Cube, section: int, end: int, tile: int) -> int:
    """How many of a section's `end` tiles stand before `tile`; nearly all, so look from the end."""
    for _ in range(NEAR):
        if end == 0 or tiles[section, end - 1, layout.T_ID] < tile:
            return end
        end -= 1
    low, high = 0, end
    while low < high:
        middle = (low + high) // 2
        if tiles[section, middle, layout.T_ID] < tile:
            low = middle + 1
        else:
            high = middle
    return low


@part
def sum_tiles(tiles: Cube, section: int, end: int, first: int, numbers: Ints, k: int) -> int:
    """Events and amounts of the tiles before position `end` from id `first` on.

    Returns the position of the first of them.
    """
    count, total = np.int64(0), np.int64(0)
    while end > 0 and tiles[section, end - 1, layout.T_ID] >= first:
        end -= 1
        count += tiles[section, end, layout.T_COUNT]
        total += tiles[section, end, layout.T_SUM]
    numbers[k, N_COUNT], numbers[k, N_SUM] = count, total
    return end


@part
def count_cards(tiles: Cube, section: int, start: int, end: int) -> int:
    """Cards that the tiles from position `start` to `end` saw, about."""
    one, two, three, four = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    for j in range(start, end):
        one |= tiles[section, j, layout.T_BITS]
        two |= tiles[section, j, layout.T_BITS + 1]
        three |= tiles[section, j, layout.T_BITS + 2]
        four |= tiles[section, j, layout.T_BITS + 3]
    cards: int = CARDS[ones(one) + ones(two) + ones(three) + ones(four)]
    return cards


@part
def read_tiles(
    tiles: Cube, ends: Ints, clock: int, read_up_to: Ints, windows: Ints, numbers: Ints
) -> None:
    """Fill a row of `numbers` per window with the tiles that ended in time for `clock`.

    `read_up_to` remembers the tile at which each window ended last: while that is the same so are
    its numbers, because those tiles are complete.
    """
    for k in range(len(windows)):
        section = windows[k, 0]
        last = end_tile(section, clock)
        if last != read_up_to[k]:
            read_up_to[k] = last
            end = count_before(tiles, section, ends[section], last)
            start = sum_tiles(tiles, section, end, last - windows[k, 1], numbers, k)
            if windows[k, 2]:
                numbers[k, N_CARDS] = count_cards(tiles, section, start, end)


@part
def emit_shared(emits: Ints, numbers: Ints, amount: int, values: Floats, row: int) -> None:
    """Write the features of one entity into a row; statistics by their number in `Shared`."""
    for f in range(len(emits)):
        statistic, column = emits[f, 0], emits[f, 3]
        count, total = numbers[emits[f, 2], N_COUNT], numbers[emits[f, 2], N_SUM]
        frauds = max(numbers[emits[f, 1], N_SUM], 0)
        if statistic == 0:
            values[row, column] = count
        elif statistic == 1:
            values[row, column] = total
        elif statistic == 2:
            values[row, column] = numbers[emits[f, 1], N_CARDS]
        elif statistic == 3:
            values[row, column] = amount * count / total if total > 0 else NAN
        elif statistic == 4:
            values[row, column] = frauds
        else:
            values[row, column] = (frauds + layout.RISK_FRAUDS) / (count + layout.RISK_EVENTS)


@part
def emit_missing(emits: Ints, values: Floats, row: int) -> None:
    """The features of an entity that the event does not name."""
    for f in range(len(emits)):
        values[row, emits[f, 3]] = NAN
