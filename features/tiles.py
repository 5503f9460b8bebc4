"""Open tiles: what each (entity, tile) has so far, found by hash, so that a record costs the same
however many tiles are open.
"""

import numpy as np
from numpy.typing import NDArray

from features import layout
from features.card_memory import clamped
from features.compiled import kernel, part
from features.encoding import H_CARD
from features.hashing import P1, P2
from features.tile_packing import R_ENTITY, R_SECTION, R_TILE

Ints = NDArray[np.int64]
Slots = NDArray[np.int32]
U = np.uint64

R_KIND = R_TILE + layout.TILE_WIDTH
"""The last column of an open tile's row: its entity's place in SHARED_ENTITIES."""
ROW_WIDTH = R_KIND + 1
ROOM = 1 << 10
"""Tiles for which there is room from the start; a power of two, doubled when it is not enough."""
SPARSE = 4
"""Slots per tile."""


@part
def card_bit(card: np.int64) -> np.int64:
    """The bit that a card sets in a tile, by its hash."""
    return np.int64(U(card) % U(layout.BITS))


@kernel
def card_bits(hashes: Ints) -> Ints:
    """The bit that each card sets in a tile."""
    bits = np.empty(len(hashes), np.int64)
    for i in range(len(hashes)):
        bits[i] = card_bit(hashes[i])
    return bits


@part
def first_slot(slots: Slots, entity: np.int64, tile: int) -> np.int64:
    """Where to look first: multiplied, so that neighbouring tiles of an entity lie far apart."""
    mixed = (U(entity) ^ (U(tile) * P2)) * P1
    return np.int64((mixed >> U(32)) & U(len(slots) - 1))


@part
def row_of(
    rows: Ints, slots: Slots, known: int, entity: np.int64, section: int, tile: int, kind: int
) -> int:
    """The row of a tile; row `known`, without events, where it is a new one."""
    slot = first_slot(slots, entity, tile)
    while slots[slot] != 0:
        at: int = slots[slot] - 1
        is_same = rows[at, R_TILE + layout.T_ID] == tile and rows[at, R_KIND] == kind
        if is_same and rows[at, R_ENTITY] == entity:
            return at
        slot = (slot + 1) & (len(slots) - 1)
    slots[slot] = known + 1
    for column in range(ROW_WIDTH):
        rows[known, column] = 0
    rows[known, R_ENTITY], rows[known, R_SECTION] = entity, section
    rows[known, R_TILE + layout.T_ID], rows[known, R_KIND] = tile, kind
    return known


@kernel
def count_events(
    hashes: Ints,
    clocks: Ints,
    amounts: Ints,
    section: int,
    wanted: Ints,
    start: int,
    rows: Ints,
    slots: Slots,
    known: int,
) -> tuple[int, int]:
    """Count events from `start` on while there is room: the next one, and how many rows there are.

    `hashes` has the columns of `encoding`; `wanted` has rows (kind, column of hashes).
    """
    for i in range(start, len(clocks)):
        if known + len(wanted) > len(rows):
            return i, known
        bit, tile = card_bit(hashes[i, H_CARD]), clocks[i] // layout.TILE_LENGTHS[section]
        for w in range(len(wanted)):
            entity = hashes[i, wanted[w, 1]]
            if entity == 0:
                continue
            at = row_of(rows, slots, known, entity, section, tile, wanted[w, 0])
            known = max(known, at + 1)
            rows[at, R_TILE + layout.T_COUNT] += 1
            rows[at, R_TILE + layout.T_SUM] += clamped(amounts[i])
            if section != layout.S_MINUTE:  # no window of minutes tells cards apart
                word = R_TILE + layout.T_BITS + (bit >> 6)
                rows[at, word] |= np.int64(1) << (bit & 63)
    return len(clocks), known


@kernel
def add_tiles(tiles: Ints, start: int, rows: Ints, slots: Slots, known: int) -> tuple[int, int]:
    """What `count_events` does, with whole tiles: counts and sums are added, bits united."""
    for i in range(start, len(tiles)):
        if known == len(rows):
            return i, known
        entity, section, kind = tiles[i, R_ENTITY], tiles[i, R_SECTION], tiles[i, R_KIND]
        tile = tiles[i, R_TILE + layout.T_ID]
        at = row_of(rows, slots, known, entity, section, tile, kind)
        known = max(known, at + 1)
        rows[at, R_TILE + layout.T_COUNT] += tiles[i, R_TILE + layout.T_COUNT]
        rows[at, R_TILE + layout.T_SUM] += tiles[i, R_TILE + layout.T_SUM]
        for word in range(R_TILE + layout.T_BITS, R_KIND):
            rows[at, word] |= tiles[i, word]
    return len(tiles), known


class OpenTiles:
    """Tiles of one section, a row each: entity, section, the tile's own columns, kind."""

    def __init__(self) -> None:
        self._known = 0
        self._rows = np.empty((ROOM, ROW_WIDTH), dtype=np.int64)
        self._slots = np.zeros(SPARSE * ROOM, dtype=np.int32)

    @property
    def rows(self) -> Ints:
        """The tiles, in the order of their first records; a view until the next change."""
        return self._rows[: self._known]

    def count(self, hashes: Ints, clocks: Ints, amounts: Ints, section: int, wanted: Ints) -> None:
        """Count events at each of the wanted kinds of entity; see `count_events`."""
        done = 0
        while done < len(clocks):
            done, self._known = count_events(
                hashes, clocks, amounts, section, wanted, done,
                self._rows, self._slots, self._known,
            )  # fmt: skip
            if done < len(clocks):
                self._keep(self.rows)

    def add(self, tiles: Ints) -> None:
        """Add tiles to those of the same entity and time."""
        done = 0
        while done < len(tiles):
            done, self._known = add_tiles(tiles, done, self._rows, self._slots, self._known)
            if done < len(tiles):
                self._keep(self.rows)

    def close(self, first: int, end: int) -> Ints:
        """Forget the tiles before `end`; those of them from `first` on."""
        ids = self.rows[:, R_TILE + layout.T_ID]
        closed = self.rows[(ids >= first) & (ids < end)]
        self._keep(self.rows[ids >= end])
        return closed

    def _keep(self, tiles: Ints) -> None:
        """Hold these alone, with room for as many more."""
        room = ROOM
        while room < 2 * len(tiles):
            room *= 2
        self._known = 0
        self._rows = np.empty((room, ROW_WIDTH), dtype=np.int64)
        self._slots = np.zeros(SPARSE * room, dtype=np.int32)
        self.add(tiles)


def label_tiles(effects: Ints) -> Ints:
    """Rows of what labels change, rows (merchant, day, frauds more or less), one for each."""
    rows = np.zeros((len(effects), ROW_WIDTH), dtype=np.int64)
    rows[:, R_ENTITY], rows[:, R_SECTION] = effects[:, 0], layout.S_LABEL
    rows[:, R_TILE + layout.T_ID], rows[:, R_TILE + layout.T_SUM] = effects[:, 1], effects[:, 2]
    rows[:, R_TILE + layout.T_COUNT] = 1
    return rows
