"""Served features equal replayed ones, whatever happens to batches, processes and stores."""

import pyarrow as pa
from feature_stream import DyingStore, Scorer, mismatches
from features_events import PARITY, event_tables
from hypothesis import given, settings
from hypothesis import strategies as st

from features.store import MemoryStateStore

SIZES = st.lists(st.integers(1, 12), min_size=1, max_size=4)
DEATHS = st.dictionaries(st.integers(0, 20), st.sampled_from(["before", "after"]), max_size=4)
REWINDS = st.lists(st.sampled_from([0, 0, 1, 3, 9]), max_size=5)


@settings(PARITY, max_examples=15)
@given(event_tables(size=20), SIZES)
def test_any_split_into_batches_serves_the_same(table: pa.Table, sizes: list[int]) -> None:
    """A batch call equals any sequence of micro-batches, bit for bit."""
    scorer = Scorer(table, MemoryStateStore(), sizes)
    scorer.run(0)
    assert mismatches(scorer, 0) == 0


@settings(PARITY, max_examples=15)
@given(event_tables(size=20), SIZES, DEATHS, REWINDS)
def test_a_crash_between_any_two_writes_changes_nothing(
    table: pa.Table, sizes: list[int], deaths: dict[int, str], rewinds: list[int]
) -> None:
    """Killed before or after any write, restarted here or at an older checkpoint: same bits."""
    scorer = Scorer(table, DyingStore(MemoryStateStore(), deaths), sizes, rewinds)
    scorer.run(0)
    assert mismatches(scorer, 0) == 0


@settings(PARITY, max_examples=8)
@given(event_tables(size=20, cards=4, partitions=3), SIZES, SIZES)
def test_partitions_share_a_store_and_nothing_else(
    table: pa.Table, sizes: list[int], other_sizes: list[int]
) -> None:
    """Any number of partitions, each with its own task and batches, serve what one replay gives."""
    store = MemoryStateStore()
    for partition, own in ((2, sizes), (0, other_sizes), (1, sizes)):
        scorer = Scorer(table, store, own)
        scorer.run(partition)
        assert mismatches(scorer, partition) == 0


@settings(PARITY, max_examples=15)
@given(event_tables(size=20), SIZES, st.sets(st.integers(0, 20), min_size=1, max_size=3))
def test_a_store_wiped_in_mid_stream_is_noticed_and_rebuilt(
    table: pa.Table, sizes: list[int], wipes: set[int]
) -> None:
    """A store that forgot everything never passes for one whose cards are new."""
    scorer = Scorer(table, DyingStore(MemoryStateStore(), dict.fromkeys(wipes, "wiped")), sizes)
    scorer.run(0)
    assert mismatches(scorer, 0) == 0
