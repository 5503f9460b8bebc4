"""Tiles in columns: what a batch of records adds to each (entity, tile), by plain grouping."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features import layout
from features.feature import ID_FIELDS, SHARED_ENTITIES, Entity
from features.hashing import hash_column

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Occurrences:
    """Events as tiles see them: clock in milliseconds, amount, card bit, entities by XXH64."""

    clocks: Ints
    amounts: Ints
    bits: Ints
    entities: dict[Entity, Ints]

    @classmethod
    def of(cls, events: pa.Table, clocks: Ints, wanted: Sequence[Entity]) -> "Occurrences":
        """Of a table in EVENT_SCHEMA; an event without an entity has 0 there."""
        amounts = events["amount_minor"].to_numpy().astype(np.int64, copy=False)
        limited = np.clip(amounts, -layout.AMOUNT_CLAMP, layout.AMOUNT_CLAMP)
        bits = card_bits(hash_column(events["card_id"]))
        entities = {entity: hash_column(events[ID_FIELDS[entity]]) for entity in wanted}
        return cls(clocks, limited, bits, entities)


def card_bits(hashes: Ints) -> Ints:
    """The bit that each card sets in a tile."""
    return (hashes.view(np.uint64) % np.uint64(layout.BITS)).view(np.int64)


@dataclass(frozen=True, slots=True)
class Tiles:
    """Rows (kind, entity, id, count, sum, bits) of one section, sorted, one row per tile.

    `kind` is the entity's place in SHARED_ENTITIES.
    """

    rows: Ints

    @classmethod
    def empty(cls) -> "Tiles":
        """No tiles."""
        return cls(np.empty((0, 2 + layout.TILE_WIDTH), dtype=np.int64))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def ids(self) -> Ints:
        """Each tile's number since the epoch."""
        column: Ints = self.rows[:, 2 + layout.T_ID]
        return column

    def where(self, mask: NDArray[np.bool_]) -> "Tiles":
        """The rows that `mask` marks."""
        return Tiles(self.rows[mask])


def event_tiles(events: Occurrences, section: int, wanted: Collection[Entity]) -> Tiles:
    """What events add to the tiles of a section at the wanted kinds of entity."""
    parts = [np.empty((0, 2 + layout.TILE_WIDTH), dtype=np.int64)]
    for kind, entity in enumerate(SHARED_ENTITIES):
        if entity not in wanted:
            continue
        named = np.flatnonzero(events.entities[entity])
        rows = np.zeros((len(named), 2 + layout.TILE_WIDTH), dtype=np.int64)
        rows[:, 0], rows[:, 1] = kind, events.entities[entity][named]
        tile = rows[:, 2:]
        tile[:, layout.T_ID] = events.clocks[named] // layout.TILE_LENGTHS[section]
        tile[:, layout.T_COUNT] = 1
        tile[:, layout.T_SUM] = events.amounts[named]
        if section != layout.S_MINUTE:  # no window of minutes tells cards apart
            word, bit = events.bits[named] >> 6, events.bits[named] & 63
            tile[np.arange(len(named)), layout.T_BITS + word] = np.int64(1) << bit
        parts.append(rows)
    return summed(np.concatenate(parts))


def label_tiles(effects: Ints) -> Tiles:
    """Tiles of labels' effects, rows (merchant, day, frauds more or less)."""
    rows = np.zeros((len(effects), 2 + layout.TILE_WIDTH), dtype=np.int64)
    rows[:, 1], rows[:, 2 + layout.T_ID] = effects[:, 0], effects[:, 1]
    rows[:, 2 + layout.T_COUNT], rows[:, 2 + layout.T_SUM] = 1, effects[:, 2]
    return summed(rows)


def together(parts: Sequence[Tiles]) -> Tiles:
    """The sum of tiles folded one after the other."""
    return summed(np.concatenate([Tiles.empty().rows, *(part.rows for part in parts)]))


def summed(rows: Ints) -> Tiles:
    """One row per (kind, entity, tile): counts and sums added, bits united."""
    if len(rows) == 0:
        return Tiles(rows)
    order = np.lexsort((rows[:, 2], rows[:, 1], rows[:, 0]))
    ordered = rows[order]
    is_new = np.ones(len(rows), dtype=np.bool_)
    is_new[1:] = (np.diff(ordered[:, :3], axis=0) != 0).any(axis=1)
    starts = np.flatnonzero(is_new)
    out = ordered[starts]
    added = slice(2 + layout.T_COUNT, 2 + layout.T_BITS)
    out[:, added] = np.add.reduceat(ordered[:, added], starts, axis=0)
    united = slice(2 + layout.T_BITS, None)
    out[:, united] = np.bitwise_or.reduceat(ordered[:, united], starts, axis=0)
    return Tiles(out)
