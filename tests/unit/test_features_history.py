"""The past of a partition as tables: cut by offset, never empty, and enough to go on from."""

import copy
import itertools

import numpy as np
import pyarrow as pa
import pytest
from feature_stream import DyingStore, TableHistory
from feature_world import World, make_events
from features_records import RecordHistory, record_of
from hypothesis import example, given, settings
from hypothesis import strategies as st

from contracts.errors import StateError
from contracts.kafka import RawRecord
from contracts.transaction_rows import CARD_ID
from features.definition import CARD_SET
from features.engine import replay
from features.history import readable_rows, tables_of
from features.serving import FeatureServer
from features.store import MemoryStateStore


@pytest.fixture(scope="module")
def events() -> pa.Table:
    """One partition."""
    return make_events(World(40, 5, days=20, partitions=1), 3)


def records_of(events: pa.Table, unreadable: set[int]) -> list[RawRecord]:
    """The events' records, broken at some offsets."""
    rows = enumerate(events.to_pylist())
    return [record_of(None if n in unreadable else row, n) for n, row in rows]


@given(
    cuts=st.lists(st.integers(1, 39), max_size=8),
    unreadable=st.sets(st.integers(0, 39)),
    end=st.integers(1, 40),
)
@example(cuts=[5], unreadable=set(range(10, 20)), end=30)
@settings(max_examples=60, deadline=None)
def test_tables_are_cut_at_multiples_of_their_size(
    events: pa.Table, cuts: list[int], unreadable: set[int], end: int
) -> None:
    """However the broker's batches fall, a table holds the readable events of ten offsets."""
    records = records_of(events, unreadable)[:end]
    bounds = [0, *sorted(cuts), len(records)]
    batches = [records[start:stop] for start, stop in itertools.pairwise(bounds)]
    tables = [table["offset"].to_pylist() for table in tables_of(batches, 10)]
    readable = [n for n in range(end) if n not in unreadable]
    expected = [[n for n in readable if n // 10 == ten] for ten in range(4)]
    assert tables == [part for part in expected if part]


def test_what_is_readable_keeps_its_place_and_time(events: pa.Table) -> None:
    """Unreadable records among others shift neither offsets nor timestamps nor partitions."""
    good = [record_of(row, n).value for n, row in enumerate(events.to_pylist()[:2])]
    found = readable_rows([None, good[0], b"{}", good[1]], [4, 5, 6, 7], [1, 2, 3, 4], [9, 8, 7, 6])
    assert found.partitions.tolist() == [5, 7]
    assert found.offsets.tolist() == [2, 4]
    assert found.timestamps_us.tolist() == [8_000, 6_000]
    cards = [card.encode() for card in events["card_id"].to_pylist()[:2]]
    assert found.rows.words(CARD_ID) == cards


def test_a_server_catches_up_over_unreadable_records(events: pa.Table) -> None:
    """A range without one readable record is passed: the next batch is served from its end."""
    unreadable = set(range(20, 30))
    history = RecordHistory(records_of(events, unreadable))
    server = FeatureServer(MemoryStateStore(), "t", history=history, feature_set=CARD_SET)
    server.rebuild(0, 20)
    server.ensure(0, 30)
    kept = [n for n in range(len(events)) if n not in unreadable]
    rest = events.slice(30)
    served = server.serve(rest, committed={0: 30})
    whole = replay(events.take(pa.array(kept)), feature_set=CARD_SET)
    assert np.array_equal(served.values, whole.values[-len(rest) :], equal_nan=True)


def test_a_store_that_lost_its_last_writes_is_never_folded_on(events: pa.Table) -> None:
    """Same generation, same manifest, older states: refused on read and mark, then made good."""
    store = DyingStore(MemoryStateStore())
    server = FeatureServer(store, "t", history=TableHistory(events), feature_set=CARD_SET)
    server.ensure(0, 0)
    server.serve(events.slice(0, 10), committed={0: 0})
    server.mark({0: (0, 10)})
    held = copy.deepcopy(store.inner)
    server.serve(events.slice(10, 10), committed={0: 0})
    store.inner = held
    with pytest.raises(StateError, match="not those that this process wrote last"):
        server.mark({0: (0, 20)})
    with pytest.raises(StateError, match="others wrote"):
        server.serve(events.slice(20), committed={0: 0})
    server.ensure(0, 20)
    served = server.serve(events.slice(20), committed={0: 20})
    whole = replay(events, feature_set=CARD_SET)
    assert np.array_equal(served.values, whole.values[20:], equal_nan=True)
