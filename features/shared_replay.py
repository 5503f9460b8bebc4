"""Cross-card features of a whole history at once."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features import layout
from features.clocks import partition_clocks
from features.compiled import kernel
from features.definition import FeatureSet
from features.entity_replay import replay_entities
from features.label_effects import LabelLedger
from features.shared_plan import SharedPlan
from features.tiles import Occurrences, Tiles, label_tiles

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def fill_shared(
    events: pa.Table, labels: pa.Table | None, feature_set: FeatureSet, values: Floats
) -> None:
    """Write the cross-card columns of `values`, row i for row i of `events`.

    Both tables hold whole partitions from their beginning, in any order; without `labels` nothing
    is known of fraud.
    """
    if not feature_set.shared or len(events) == 0:
        return
    wanted = [plan.entity for plan in feature_set.shared]
    seen = Occurrences.of(events, partition_clocks(events), wanted)
    by_clock = np.argsort(seen.clocks, kind="stable")
    facts = np.column_stack((seen.clocks, seen.amounts, seen.bits))
    of_labels = history_of_labels(labels)
    for plan in feature_set.shared:
        entities = seen.entities[plan.entity]
        order, bounds, names = grouped(entities, by_clock)
        fraud, fraud_bounds = _aligned(of_labels, plan, names)
        replay_entities(order, bounds, facts, fraud, fraud_bounds, plan.windows, plan.emits, values)


def history_of_labels(labels: pa.Table | None) -> Tiles:
    """All label tiles, open ones too: a reader takes only those that have closed."""
    if labels is None or len(labels) == 0:
        return Tiles.empty()
    order = np.lexsort((labels["offset"].to_numpy(), labels["partition"].to_numpy()))
    ordered = labels.take(pa.array(order))
    return label_tiles(LabelLedger().effects(ordered, partition_clocks(ordered)))


def grouped(entities: Ints, sequence: Ints) -> tuple[Ints, Ints, Ints]:
    """Rows by entity, each entity's in the order of `sequence`; their bounds; the entities.

    Rows without an entity stand before the first bound.
    """
    codes, names = dense_codes(entities)
    return (*counting_sort(codes, sequence, len(names)), names)


def _aligned(labels: Tiles, plan: SharedPlan, names: Ints) -> tuple[Ints, Ints]:
    """Label tiles in the order of `names`, and each one's bounds; only merchants have labels."""
    bounds = np.zeros(len(names) + 1, dtype=np.int64)
    if plan.entity != "merchant" or len(labels) == 0:
        return np.empty((0, layout.TILE_WIDTH), dtype=np.int64), bounds
    starts = np.searchsorted(labels.rows[:, 1], names, side="left")
    sizes = np.searchsorted(labels.rows[:, 1], names, side="right") - starts
    bounds[1:] = np.cumsum(sizes)
    rows = np.repeat(starts - bounds[:-1], sizes) + np.arange(bounds[-1])
    return np.ascontiguousarray(labels.rows[rows, 2:]), bounds


@kernel
def dense_codes(entities: Ints) -> tuple[Ints, Ints]:
    """Entities numbered from 1 in the order of their first row, 0 for none; and the entities."""
    size = 16
    while size < 2 * len(entities):
        size *= 2
    slots = np.zeros(size, dtype=np.int64)
    codes = np.zeros(len(entities), dtype=np.int64)
    names = np.zeros(len(entities), dtype=np.int64)
    known = 0
    for i in range(len(entities)):
        if entities[i] == 0:
            continue
        slot = entities[i] & (size - 1)
        while slots[slot] != 0 and names[slots[slot] - 1] != entities[i]:
            slot = (slot + 1) & (size - 1)
        if slots[slot] == 0:
            names[known] = entities[i]
            known += 1
            slots[slot] = known
        codes[i] = slots[slot]
    return codes, names[:known].copy()


@kernel
def counting_sort(codes: Ints, sequence: Ints, known: int) -> tuple[Ints, Ints]:
    """Rows by code, within one in the order of `sequence`; where each code from 1 on begins."""
    starts = np.zeros(known + 2, dtype=np.int64)
    for i in range(len(codes)):
        starts[codes[i] + 1] += 1
    for code in range(known + 1):
        starts[code + 1] += starts[code]
    bounds = starts[1:].copy()
    order = np.empty(len(codes), dtype=np.int64)
    for i in sequence:
        order[starts[codes[i]]] = i
        starts[codes[i]] += 1
    return order, bounds
