"""Replay: the features of every event of a table, from an empty state."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.transaction_rows import text_of
from features.card_groups import group_rows
from features.clocks import by_partition_and_offset
from features.definition import FEATURE_SET, FeatureSet
from features.encoding import H_CARD, HASHES, encode
from features.hashing import hash_all
from features.kernel import DUPLICATE, LATE, fold_groups
from features.shared_replay import fill_shared

Ints = NDArray[np.int64]


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
    hashes = _room_for_hashes(len(events))
    served = _replay_cards(events, feature_set, hashes)
    fill_shared(events, hashes, labels, feature_set, served.values)
    return served


def replay_cards(events: pa.Table, feature_set: FeatureSet = FEATURE_SET) -> FeatureMatrix:
    """The features of cards' own pasts alone; the cross-card columns are left open.

    `events` holds all events of any cards, rows in any order.
    """
    return _replay_cards(events, feature_set, _room_for_hashes(len(events)))


def _room_for_hashes(events: int) -> Ints:
    """Int64 [n, HASHES], the numbers of a column side by side.

    A row too many, so that no table is contiguous as a whole: all are of one type for Numba.
    """
    return np.empty((events + 1, HASHES), dtype=np.int64, order="F")[:events]


def _replay_cards(events: pa.Table, feature_set: FeatureSet, hashes: Ints) -> FeatureMatrix:
    """Fills `hashes` as well; for sets of amounts alone only those of cards and transactions."""
    values = np.empty((len(events), len(feature_set.features)), dtype=np.float64)
    statuses = np.zeros(len(events), dtype=np.int64)
    if len(events) == 0:
        return matrix(values, statuses)
    order, places, bounds = card_groups(events, hashes[:, H_CARD])
    encoded = encode(events, places, hashes, is_described=not feature_set.is_of_amounts)
    fold_groups(
        encoded, order, bounds, feature_set.windows, feature_set.slots, feature_set.is_of_amounts,
        values, statuses,
    )  # fmt: skip
    return matrix(values, statuses)


def matrix(values: NDArray[np.float64], statuses: NDArray[np.int64]) -> FeatureMatrix:
    """A feature matrix from the kernel's status bits."""
    return FeatureMatrix(values, (statuses & LATE) != 0, (statuses & DUPLICATE) != 0)


def card_groups(events: pa.Table, hashes: Ints) -> tuple[Ints, Ints, Ints]:
    """Row numbers by card in offset order, where each row comes there, and each card's bounds.

    Fills `hashes` with those of the cards.
    """
    cards = text_of(events["card_id"])
    hash_all(cards, hashes)
    partitions = events["partition"].to_numpy().copy()  # kernels tell apart what can be written
    return group_rows(cards, hashes, partitions, by_partition_and_offset(events))


def warm_up() -> None:
    """Compile or load every kernel, so that the first batch does not wait: seconds, then 0.2 s."""
    from features.warm import load_kernels  # serving builds on this module

    load_kernels()
