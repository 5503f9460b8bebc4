"""Replay: the features of every event of a table, from an empty state."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.definition import FEATURE_SET, FeatureSet
from features.encoding import encode
from features.kernel import DUPLICATE, LATE, fold_groups
from features.layout import E_OFFSET
from features.shared_replay import counting_sort, fill_shared


@dataclass(frozen=True, slots=True)
class FeatureMatrix:
    """Features of n events in input order: `values` is float64 [n, F], NaN where missing."""

    values: NDArray[np.float64]
    is_late: NDArray[np.bool_]
    is_duplicate: NDArray[np.bool_]


def replay(
    events: pa.Table, *, labels: pa.Table | None = None, feature_set: FeatureSet = FEATURE_SET
) -> FeatureMatrix:
    """The features of all events of a history that starts with an empty state.

    `events` has EVENT_SCHEMA, whole partitions of a topic, rows in any order; the result keeps the
    order of the rows. `labels` likewise, with their source; they feed the merchants' fraud risk.
    """
    served = replay_cards(events, feature_set)
    fill_shared(events, labels, feature_set, served.values)
    return served


def replay_cards(events: pa.Table, feature_set: FeatureSet = FEATURE_SET) -> FeatureMatrix:
    """The features of cards' own pasts alone; the cross-card columns are left open.

    `events` holds all events of any cards, rows in any order.
    """
    encoded = encode(events)
    order, bounds = card_groups(events, encoded)
    values = np.empty((len(events), len(feature_set.features)), dtype=np.float64)
    statuses = np.zeros(len(events), dtype=np.int64)
    fold_groups(encoded, order, bounds, feature_set.windows, feature_set.slots, values, statuses)
    return matrix(values, statuses)


def matrix(values: NDArray[np.float64], statuses: NDArray[np.int64]) -> FeatureMatrix:
    """A feature matrix from the kernel's status bits."""
    return FeatureMatrix(values, (statuses & LATE) != 0, (statuses & DUPLICATE) != 0)


def card_groups(
    events: pa.Table, encoded: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row numbers grouped by (partition, card) in offset order, and each group's bounds.

    The groups of a partition stand together.
    """
    cards, partitions = _codes(events["card_id"]), events["partition"].to_numpy() + np.int64(1)
    order = np.argsort(encoded[:, E_OFFSET], kind="stable")
    for codes in (cards, partitions):  # the last one sorts, the ones before keep their order in it
        order, _ = counting_sort(codes, order, int(codes.max(initial=0)))
    is_edge = (np.diff(cards[order]) != 0) | (np.diff(partitions[order]) != 0)
    return order, np.concatenate(([0], np.flatnonzero(is_edge) + 1, [len(order)]))


def _codes(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """A number from 1 on per row, the same for equal values."""
    encoded = column.combine_chunks().dictionary_encode()
    chunk = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    codes: NDArray[np.int32] = chunk.indices.to_numpy(zero_copy_only=False)
    return codes + np.int64(1)


def warm_up() -> None:
    """Compile or load every kernel, so that the first batch does not wait: seconds, then 0.2 s."""
    from features.warm import load_kernels  # serving builds on this module

    load_kernels()
