"""Stored bytes: what comes back is what was written, or as good for every event to come."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pytest
from feature_stream import TableHistory
from feature_world import World, make_events
from features_events import PARITY
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from contracts.columns import EVENT_SCHEMA
from contracts.errors import StateError
from features import layout
from features.bit_columns import MOST_BITS, SLACK, get_bits, get_column, put_bits, put_column
from features.definition import CARD_SET
from features.engine import replay
from features.packing import TAIL_EVENT_BYTES, get_events, put_event
from features.serving import FeatureServer
from features.state import CHECKSUM_BYTES, STATE_VERSION
from features.store import MemoryStateStore, Written

HOUR_US, DAY_US = 3_600_000_000, 86_400_000_000
START_US = 1_767_225_600_000_000


@settings(PARITY)
@given(st.integers(0, MOST_BITS), st.lists(st.integers(0, (1 << MOST_BITS) - 1)), st.integers(0, 3))
def test_bits_come_back_at_any_width(width: int, numbers: list[int], at: int) -> None:
    """A column reads what was written, in the fewest whole bytes, wherever it begins."""
    numbers = [number & ((1 << width) - 1) for number in numbers]
    values, found = np.array(numbers, dtype=np.int64), np.zeros(len(numbers), dtype=np.int64)
    data = np.full(at + 8 * len(values) + SLACK, 255, dtype=np.uint8)
    end = put_bits(data, at, values, 0, len(values), 0, width)
    assert end == at + -(-width * len(values) // 8)
    data[end:] = 255  # what follows is somebody else's
    assert get_bits(data, at, found, 0, len(values), 0, width) == end
    assert found.tolist() == numbers


@settings(PARITY)
@given(st.lists(st.integers(-(1 << 54), 1 << 54), min_size=1))
def test_a_column_keeps_numbers_of_either_sign(numbers: list[int]) -> None:
    """Whatever the smallest and the largest are."""
    values, found = np.array(numbers, dtype=np.int64), np.zeros(len(numbers), dtype=np.int64)
    data = np.zeros(8 * len(values) + 11 + SLACK, dtype=np.uint8)
    end = put_column(data, 0, values, 0, len(values))
    assert get_column(data, 0, found, 0, len(values)) == end
    assert found.tolist() == numbers


@settings(PARITY)
@given(st.lists(st.integers(-(1 << 60), 1 << 60), min_size=12, max_size=12), st.integers(-900, 900))
def test_a_tail_event_comes_back_whole(numbers: list[int], minutes: int) -> None:
    """Every field, the amount unlimited, in no more room than is made for it."""
    event, found = np.array(numbers, dtype=np.int64), np.zeros((1, 12), dtype=np.int64)
    event[layout.E_LOCAL] = event[layout.E_TIME] + minutes * layout.MINUTE
    data = np.zeros(TAIL_EVENT_BYTES, dtype=np.uint8)
    end = put_event(data, 0, event)
    assert end <= TAIL_EVENT_BYTES
    assert get_events(data, 0, 1, found) == end
    assert found[0].tolist() == event.tolist()


@pytest.mark.parametrize(
    "world",
    [
        World(1500, 4, days=400, partitions=1, merchants=9, shifted=0.2, equal_times=0.2),
        World(1500, 8, days=120, partitions=1, duplicates=0.1, missing=0.4, shifted=0.1),
        World(1500, 2, days=45, partitions=1, shifted=0.1),
        World(1500, 1, days=45, partitions=1, shifted=0.01),
    ],
    ids=["old events", "missing fields", "beyond the cap", "beyond the room of a memory"],
)
def test_long_histories_serve_what_a_replay_gives(world: World) -> None:
    """Packed and read again at every commit, with what is left out: the same bits."""
    table = make_events(world, 5)
    random, committed, start = np.random.default_rng(6), 0, 0
    server = a_server(table)
    served = []
    while start < len(table):
        batch = table.slice(start, int(random.integers(1, 60)))
        served.append(server.serve(batch, committed={0: committed}).values)
        start += len(batch)
        committed = start if random.random() < 0.6 else committed
    assert equal(np.concatenate(served), replay(table, feature_set=CARD_SET).values)


@pytest.mark.parametrize("field", ["merchant_id", "device_id", "country", "merchant_category"])
def test_what_only_a_hidden_event_has_is_not_forgotten_of_old_ones(field: str) -> None:
    """A late event is placed before the newest: it must know from the old one what they share."""
    others = {"merchant_id": "m", "device_id": "d", "country": "FR", "merchant_category": "5411"}
    own = others | {field: {"country": "DE", "merchant_category": "6011"}.get(field, "own")}
    days = [(0.0, own), (1.0, others), (60.0, own), (60.1, others), (59.9, own)]
    table = events_of(days)
    served = served_one_by_one(table)
    first = CARD_SET.names.index(f"card_is_first_{field.removesuffix('_id').split('_')[-1]}")
    assert served[-1, first] == 0
    assert equal(served, replay(table, feature_set=CARD_SET).values)


def test_a_late_event_finds_the_place_that_the_newest_is_too_far_from() -> None:
    """Places are kept as long as an event that is a day late can look back to them."""
    here, there = {"latitude": 48.0, "longitude": 9.0}, {"latitude": 49.0, "longitude": 9.0}
    table = events_of([(50.0, here), (57.4, {}), (57.5, {}), (56.8, there)])
    served = served_one_by_one(table)
    assert served[-1, CARD_SET.names.index("card_distance_km")] > 100
    assert equal(served, replay(table, feature_set=CARD_SET).values)


def test_a_card_with_fifty_transactions_a_month_takes_a_kilobyte_and_a_half() -> None:
    """The median of such cards after 120 days, all of it committed."""
    table = make_events(World(4_000, 20, days=120, partitions=1), 2)
    store = MemoryStateStore()
    FeatureServer(store, "t", history=TableHistory(table), feature_set=CARD_SET).ensure(0, 4_000)
    assert np.median([len(state) for state in states_of(store, table)]) <= 1_536


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({CHECKSUM_BYTES: STATE_VERSION - 1}, "another layout"),
        ({CHECKSUM_BYTES: STATE_VERSION + 1}, "another layout"),
        ({40: 77}, "damaged"),
    ],
)
def test_a_state_that_is_not_ours_is_rebuilt(change: dict[int, int], cause: str) -> None:
    """Older code's, newer code's or damaged bytes are refused; ensured again, all is as it was."""
    table = make_events(World(200, 1, days=40, partitions=1), 4)
    store = MemoryStateStore()
    server = a_server(table, store)
    server.serve(table.slice(0, 150), committed={0: 0})
    server.mark({0: (150, 150)})
    (state,) = states_of(store, table)
    spoilt = bytearray(state)
    for place, value in change.items():
        spoilt[place] = value
    manifest = store.manifest(0)
    assert manifest is not None
    card = table["card_id"][0].as_py()
    store.write(0, Written(manifest.generation, {card: bytes(spoilt)}, before=150))
    server = FeatureServer(store, "t", history=TableHistory(table), feature_set=CARD_SET)
    server.ensure(0, 150)  # one that remembers no states of its own
    with pytest.raises(StateError, match=cause):
        server.serve(table.slice(150), committed={0: 150})
    server.ensure(0, 150)
    served = server.serve(table.slice(150), committed={0: 150})
    assert equal(served.values, replay(table, feature_set=CARD_SET).values[150:])


def a_server(table: pa.Table, store: MemoryStateStore | None = None) -> FeatureServer:
    """A server at the beginning of partition 0."""
    kept = store or MemoryStateStore()
    server = FeatureServer(kept, "t", history=TableHistory(table), feature_set=CARD_SET)
    server.ensure(0, 0)
    return server


def states_of(store: MemoryStateStore, table: pa.Table) -> list[bytes]:
    """The state of every card of a table."""
    manifest = store.manifest(0)
    assert manifest is not None
    cards = table["card_id"].unique().to_pylist()
    return [state or b"" for state in store.read(0, manifest.generation, cards).states]


def served_one_by_one(table: pa.Table) -> NDArray[np.float64]:
    """Every event in a batch of its own, after all before it were committed."""
    server = a_server(table)
    rows = range(len(table))
    return np.concatenate(
        [server.serve(table.slice(row, 1), committed={0: row}).values for row in rows]
    )


def events_of(days: Sequence[tuple[float, Mapping[str, object]]]) -> pa.Table:
    """One card's events by their own time, with what they tell."""
    rows = [event(offset, int(day * DAY_US), told) for offset, (day, told) in enumerate(days)]
    return pa.Table.from_pylist(rows, schema=EVENT_SCHEMA)


def event(offset: int, time_us: int, told: Mapping[str, object]) -> dict[str, object]:
    """An event whose record arrives in order, whatever its own time."""
    return (
        {"merchant_id": "m"}
        | dict(told)
        | {
            **{"schema_version": 1, "transaction_id": f"t{offset}", "card_id": "c", "partition": 0},
            **{"amount_minor": 100, "offset": offset, "event_time": START_US + time_us},
            "timestamp_us": START_US + 70 * DAY_US + offset * HOUR_US,
        }
    )


def equal(served: NDArray[np.float64], truth: NDArray[np.float64]) -> bool:
    """Bit for bit, missing being missing."""
    return np.array_equal(served, truth, equal_nan=True)
