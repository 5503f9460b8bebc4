"""Cross-card features of a whole history at once."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features import layout
from features.clocks import partition_clocks
from features.compiled import kernel, part
from features.definition import FeatureSet
from features.encoding import H_CARD, HASH_OF
from features.entity_replay import F_AMOUNT, F_BIT, F_CLOCK, FACTS, replay_entities
from features.hash_table import SPARSE, spread
from features.label_effects import LabelLedger
from features.shared_plan import SharedPlan
from features.tile_packing import R_ENTITY, R_TILE
from features.tiles import R_KIND, ROW_WIDTH, OpenTiles, card_bits, label_tiles

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def fill_shared(
    events: pa.Table,
    hashes: Ints,
    labels: pa.Table | None,
    feature_set: FeatureSet,
    values: Floats,
) -> None:
    """Write the cross-card columns of `values`, row i for row i of `events` and of their `hashes`.

    Both tables hold whole partitions from their beginning, in any order; without `labels` nothing
    is known of fraud.
    """
    if not feature_set.shared or len(events) == 0:
        return
    facts = facts_of(events, hashes)
    by_clock = np.argsort(facts[:, F_CLOCK], kind="stable")
    order, past = np.empty(len(events), dtype=np.int64), np.empty_like(facts)
    of_labels = history_of_labels(labels)
    for plan in feature_set.shared:
        codes, names = dense_codes(hashes[:, HASH_OF[plan.entity]])
        bounds = sort_by_code(codes, by_clock, facts, len(names), order, past)
        fraud, fraud_bounds = _aligned(of_labels, plan, names)
        replay_entities(order, bounds, past, fraud, fraud_bounds, plan.windows, plan.emits, values)


def facts_of(events: pa.Table, hashes: Ints) -> Ints:
    """What entities remember of each event."""
    facts = np.empty((len(events), FACTS), dtype=np.int64)
    facts[:, F_CLOCK] = partition_clocks(events)
    limit = layout.AMOUNT_CLAMP
    np.clip(events["amount_minor"].to_numpy(), -limit, limit, out=facts[:, F_AMOUNT])
    facts[:, F_BIT] = card_bits(hashes[:, H_CARD])
    return facts


def history_of_labels(labels: pa.Table | None) -> Ints:
    """All label tiles by entity and day, open ones too: a reader takes those that have closed."""
    if labels is None or len(labels) == 0:
        return np.empty((0, ROW_WIDTH), dtype=np.int64)
    order = np.lexsort((labels["offset"].to_numpy(), labels["partition"].to_numpy()))
    ordered = labels.take(pa.array(order))
    tiles = OpenTiles()
    tiles.add(label_tiles(LabelLedger().effects(ordered, partition_clocks(ordered))))
    rows: Ints = tiles.rows[np.lexsort((tiles.rows[:, R_TILE], tiles.rows[:, R_ENTITY]))]
    return rows


def _aligned(labels: Ints, plan: SharedPlan, names: Ints) -> tuple[Ints, Ints]:
    """Label tiles in the order of `names`, and each one's bounds; only merchants have labels."""
    bounds = np.zeros(len(names) + 1, dtype=np.int64)
    if plan.entity != "merchant" or len(labels) == 0:
        return np.empty((0, layout.TILE_WIDTH), dtype=np.int64), bounds
    starts = np.searchsorted(labels[:, R_ENTITY], names, side="left")
    sizes = np.searchsorted(labels[:, R_ENTITY], names, side="right") - starts
    bounds[1:] = np.cumsum(sizes)
    rows = np.repeat(starts - bounds[:-1], sizes) + np.arange(bounds[-1])
    return np.ascontiguousarray(labels[rows, R_TILE:R_KIND]), bounds


@part
def number_entities(
    entities: Ints, start: int, known: int, table: tuple[NDArray[np.int32], Ints, Ints]
) -> tuple[int, int]:
    """Number entities from row `start` on until the table is full: how far, how many there are."""
    slots, names, codes = table
    while start < len(entities) and SPARSE * known < len(slots):
        name = entities[start]
        slot = name & (len(slots) - 1)
        while slots[slot] != 0 and names[slots[slot] - 1] != name:
            slot = (slot + 1) & (len(slots) - 1)
        if slots[slot] == 0 and name != 0:
            names[known] = name
            known += 1
            slots[slot] = known
        codes[start] = slots[slot] if name != 0 else 0
        start += 1
    return start, known


@kernel
def dense_codes(entities: Ints) -> tuple[Ints, Ints]:
    """Entities numbered from 1 in the order of their first row, 0 for none; and the entities."""
    codes, names = np.empty(len(entities), np.int64), np.empty(len(entities), np.int64)
    at, known, size = 0, 0, 1024
    while at < len(entities):
        table = (spread(names, known, size), names, codes)
        at, known = number_entities(entities, at, known, table)
        size *= 2
    return codes, names[:known].copy()


@kernel
def sort_by_code(
    codes: Ints, sequence: Ints, facts: Ints, known: int, order: Ints, past: Ints
) -> Ints:
    """Rows by code into `order`, within one as in `sequence`; where each code from 1 on begins.

    Rows without an entity stand before the first bound. `past` is given the facts in that order:
    to write them at the ends of so many pasts is quicker than to gather each past.
    """
    starts = np.zeros(known + 2, dtype=np.int64)
    for i in range(len(codes)):
        starts[codes[i] + 1] += 1
    for code in range(known + 1):
        starts[code + 1] += starts[code]
    bounds = starts[1:].copy()
    for i in sequence:
        at = starts[codes[i]]
        starts[codes[i]] += 1
        order[at] = i
        for fact in range(FACTS):
            past[at, fact] = facts[i, fact]
    return bounds
