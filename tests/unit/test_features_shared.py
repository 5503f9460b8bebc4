"""Features across cards: brute force, any order of arrival, crashes, waits, labels taken back."""

import math

import numpy as np
import pyarrow as pa
import pytest
from feature_shared_oracle import SharedOracle
from features_events import DAY, HOUR, LABEL_PLACES, MINUTE, PARITY, event_tables, label_tables
from features_events import START_US as START
from hypothesis import given, settings
from hypothesis import strategies as st
from tile_feeds import DyingTileStore, TableSource, run_service

from contracts.columns import EVENT_SCHEMA
from contracts.errors import TilesError
from contracts.transaction_rows import events_of
from features.clocks import partition_clocks
from features.definition import FEATURE_SET
from features.encoding import H_MERCHANT, HASHES, Encoded, encoded
from features.engine import replay
from features.layout import EVENT_WIDTH
from features.tile_fold import EVENTS, LABELS, Place, TileFolder
from features.tile_history import folded
from features.tile_numbers import SLOTS
from features.tile_reader import TileReader
from features.tile_store import MemoryTileStore, TileManifest

Row = dict[str, object]
SHARED = len(FEATURE_SET.of_cards)
FATES = st.dictionaries(
    st.integers(0, 12), st.sampled_from(["before", "after", "wiped"]), max_size=3
)


def differences(events: pa.Table, labels: pa.Table) -> list[tuple[str, int, object, object]]:
    """(feature, row, expected, served) wherever replay and oracle disagree."""
    served, rows = replay(events, labels=labels).values, events.to_pylist()
    oracle = SharedOracle(rows, labels.to_pylist())
    found: list[tuple[str, int, object, object]] = []
    for i, row in enumerate(rows):
        answer = oracle.answer(row)
        for name, value in zip(
            FEATURE_SET.names[SHARED:], served[i, SHARED:].tolist(), strict=True
        ):
            expected = answer[name]
            right = math.isnan(value) if expected is None else float(expected) == value
            if not right:
                found.append((name, i, expected, value))
    return found


def read_back(store: MemoryTileStore, events: pa.Table) -> np.ndarray:
    """What readers of the stored tiles are served."""
    values = np.full((len(events), len(FEATURE_SET.names)), -1.0)
    if len(events):
        TileReader(store, wait_seconds=0).fill(
            encoded(events_of(events)), partition_clocks(events), values
        )
    return values[:, SHARED:]


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Bit-equal, missing being missing."""
    return bool(np.array_equal(one, other, equal_nan=True))


@settings(PARITY, max_examples=40)
@given(st.data())
def test_replay_equals_brute_force_across_cards(data: st.DataObject) -> None:
    """Every cross-card feature equals the oracle's, bit for bit, over several partitions."""
    events = data.draw(event_tables(cards=5, partitions=3, size=25))
    assert differences(events, data.draw(label_tables(events))) == []


@settings(PARITY, max_examples=25)
@given(st.data())
def test_the_service_writes_what_a_replay_gives(data: st.DataObject) -> None:
    """In whatever order partitions arrive and wherever the process dies, readers get the same."""
    events = data.draw(event_tables(cards=5, partitions=3, size=25))
    labels = data.draw(label_tables(events))
    turns = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=9)) + list(range(5))
    store = DyingTileStore(fates=data.draw(FATES))
    run_service(store, TableSource(events, labels, turns, data.draw(st.integers(1, 9))))
    truth = replay(events, labels=labels).values[:, SHARED:]
    assert same(read_back(store.inner, events), truth)  # type: ignore[arg-type]


def event(offset: int, minutes: float, **fields: object) -> Row:
    """An event at a number of minutes after the start."""
    time_us = START + round(minutes * 60_000_000)
    return {
        **{"partition": 0, "offset": offset, "timestamp_us": time_us, "event_time": time_us},
        **{"schema_version": 1, "transaction_id": f"t{offset}", "card_id": "c"},
        **{"merchant_id": "m", "amount_minor": 100, "device_id": "d"},
    } | fields


def table(*rows: Row) -> pa.Table:
    """Events in EVENT_SCHEMA."""
    return pa.Table.from_pylist(list(rows), schema=EVENT_SCHEMA)


def column(values: np.ndarray, name: str) -> list[float]:
    """One feature of all rows."""
    return values[:, FEATURE_SET.names.index(name)].tolist()


def test_a_tile_is_read_a_minute_after_its_end_and_never_before() -> None:
    """An event in the first minute is seen from the end of the second one on."""
    events = table(event(0, 0.5), event(1, 1.999), event(2, 2.0), event(3, 61.99), event(4, 63.0))
    assert column(replay(events).values, "merchant_count_1h") == [0, 0, 1, 3, 2]


def test_old_event_times_count_at_the_partitions_clock() -> None:
    """A record that comes late is counted where its partition's clock stands, once for good."""
    late = event(2, 5.0, event_time=START - DAY * 1000, timestamp_us=START)
    events = table(event(0, 0), event(1, 5.0), late, event(3, 30))
    assert column(replay(events).values, "merchant_count_1h")[3] == 3


def label(offset: int, days: float, told: float, is_fraud: bool) -> Row:
    """A label that arrives after some days, with its own label time."""
    return {
        **{"partition": 0, "offset": offset, "timestamp_us": START + round(days * 86_400_000_000)},
        **{"transaction_id": "t", "card_id": "c", "merchant_id": "m", "event_time": START},
        **{"is_fraud": is_fraud, "label_time": START + round(told * 86_400_000_000)},
        "source": "chargeback",
    }


def test_a_label_counts_once_and_is_taken_back() -> None:
    """Repeats and older news change nothing; a correction retracts on the day it arrives."""
    labels = pa.Table.from_pylist(
        [
            label(0, 1.0, 1.0, True),
            label(1, 1.1, 1.0, True),
            label(2, 1.2, 0.5, False),
            label(3, 4.0, 4.0, False),
        ],
        schema=LABEL_PLACES,
    )
    asked = (1.5, 2.02, 2.05, 5.02, 5.05)
    events = table(*(event(n, day * 1440) for n, day in enumerate(asked)))
    values = replay(events, labels=labels).values
    assert column(values, "merchant_frauds_30d") == [0, 0, 1, 1, 0]
    assert column(values, "merchant_fraud_risk_30d")[2] == 2 / 201


def test_a_reader_waits_for_the_tiles_and_says_when_they_do_not_come() -> None:
    """Frontiers behind c - 60 s make a reader wait; past its deadline it refuses."""
    store = MemoryTileStore()
    clock = START // 1000 + 10 * MINUTE
    store.begin(TileManifest("g", clock - 2 * MINUTE, clock))
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            store.mark(TileManifest("g", clock - MINUTE, clock))

    events, values = table(event(0, 10)), np.zeros((1, len(FEATURE_SET.names)))
    reader = TileReader(store, wait_seconds=1, clock=lambda: float(len(slept)) / 10, sleep=sleep)
    reader.fill(encoded(events_of(events)), np.array([clock]), values)
    assert len(slept) == 3
    with pytest.raises(TilesError, match="not complete"):
        reader.fill(encoded(events_of(events)), np.array([clock + MINUTE]), values)


def test_more_entities_than_the_table_holds_are_served_in_parts() -> None:
    """An audit hands over as many rows as it likes; each has its numbers, and nothing hangs."""
    size = SLOTS + 1
    events = np.zeros((size, EVENT_WIDTH), dtype=np.int64)
    hashes = np.zeros((size, HASHES), dtype=np.int64)
    hashes[:, H_MERCHANT] = np.arange(1, size + 1)
    store = MemoryTileStore()
    clock = 50 * 365 * DAY
    store.begin(TileManifest("g", clock, clock))
    values = np.full((size, len(FEATURE_SET.names)), -1.0)
    clocks = np.full(size, clock)
    TileReader(store, wait_seconds=0).fill(Encoded(events, hashes), clocks, values)
    column = FEATURE_SET.names.index("merchant_count_1h")
    assert (values[:, column] == 0.0).all()


def test_a_clock_at_the_epoch_reads_nothing_rather_than_anything() -> None:
    """The tile before the first one is a number like any other: it does not mean 'read before'."""
    row = table(event(0, 10))
    early = row.set_column(
        row.schema.get_field_index("timestamp_us"), "timestamp_us", pa.array([0])
    )
    store = MemoryTileStore()
    store.begin(TileManifest("g", 0, 0))
    values = np.full((1, len(FEATURE_SET.names)), -1.0)
    made, clocks = encoded(events_of(early)), np.zeros(1, dtype=np.int64)
    TileReader(store, wait_seconds=0).fill(made, clocks, values)
    assert values[0, FEATURE_SET.names.index("merchant_count_1h")] == 0.0


def test_tiles_that_were_dropped_are_refused_and_made_anew() -> None:
    """A batch older than what is kept never reads less; beginning there has all remade."""
    events = table(*(event(n, n * 1440.0) for n in range(90)))
    store = MemoryTileStore()
    run_service(store, TableSource(events, LABEL_PLACES.empty_table(), [0]), keep_all=False)
    old = partition_clocks(events)[:10]
    reader = TileReader(store, wait_seconds=0, wall_ms=lambda: 0)
    with pytest.raises(TilesError, match="older"):
        reader.fill(
            encoded(events_of(events.slice(0, 10))), old, np.zeros((10, len(FEATURE_SET.names)))
        )
    reader.reserve("test", int(old[0]))
    assert store.manifest() is None
    run_service(store, TableSource(events, LABEL_PLACES.empty_table(), [0]), keep_all=False)
    values = np.zeros((10, len(FEATURE_SET.names)))
    reader.fill(encoded(events_of(events.slice(0, 10))), old, values)
    assert same(values[:, SHARED:], replay(events).values[:10, SHARED:])


def test_a_broken_promise_is_counted() -> None:
    """A record stamped before what was promised for its offset is an incident."""
    folder = TileFolder({(EVENTS, 0): Place()}, {EVENTS: 0, LABELS: 0})
    folder.promise((EVENTS, 0), 1, START // 1000 + HOUR)
    folder.events(0, table(event(0, 0)), 1)
    assert (folder.broken_promises, folder.frontier(EVENTS)) == (0, START // 1000 + HOUR)
    folder.events(0, table(event(1, 59), event(2, 60)), 3)
    assert folder.broken_promises == 1


def test_an_idle_partition_holds_the_frontier_until_it_is_promised() -> None:
    """What a silent partition may still send keeps everybody's tiles open."""
    folder = TileFolder({(EVENTS, 0): Place(), (EVENTS, 1): Place()}, {EVENTS: 0, LABELS: 0})
    folder.events(0, table(event(0, 0), event(1, 10)), 2)
    assert folder.frontier(EVENTS) == 0
    folder.promise((EVENTS, 1), 0, START // 1000 + 5 * MINUTE)
    assert folder.frontier(EVENTS) == START // 1000 + 5 * MINUTE


def test_stored_tiles_serve_the_bits_of_a_replay() -> None:
    """Packing loses nothing, with many cards, refunds and busy entities too."""
    rows = [
        event(n, n * 7.0, card_id=f"card-{n % 190}", amount_minor=(n % 11 - 3) * 10_007)
        for n in range(2_000)
    ]
    events = table(*rows)
    assert same(read_back(folded(events), events), replay(events).values[:, SHARED:])
