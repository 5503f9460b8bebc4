"""The daily check of stored state: silent when it is right, exact when it is not."""

from collections.abc import Iterator

import pyarrow as pa
import pytest

from contracts.columns import EVENT_SCHEMA
from features.definition import CARD_SET
from features.serving import FeatureServer
from features.state_check import check_partitions
from features.state_store import MemoryStateStore

TOPIC = "transactions"
START_US = 1_750_000_000_000_000
MINUTE_US = 60_000_000


def _event(offset: int) -> dict[str, object]:
    time_us = START_US + offset * MINUTE_US
    return {
        **{"schema_version": 1, "transaction_id": f"t{offset}", "event_time": time_us},
        **{"card_id": f"card-{offset % 7}", "merchant_id": f"m{offset % 5}"},
        **{"amount_minor": 100 + offset, "partition": 0, "offset": offset},
        "timestamp_us": time_us,
    }


class ListHistory:
    """A partition's events in a list."""

    def __init__(self, count: int) -> None:
        self.events = [_event(offset) for offset in range(count)]

    def first_offset(self, partition: int) -> int:
        """All is still there."""
        return 0

    def read(self, partition: int, start: int, end: int) -> Iterator[pa.Table]:
        """The events of a range."""
        yield pa.Table.from_pylist(self.events[start:end], schema=EVENT_SCHEMA)


def _served(history: ListHistory, *, skipped: range = range(0)) -> MemoryStateStore:
    """A store after ten batches; `skipped` are offsets that a faulty server never folded."""
    store = MemoryStateStore()
    server = FeatureServer(store, TOPIC, history=history, feature_set=CARD_SET)
    server.ensure(0, 0)
    size = len(history.events) // 10
    for start in range(0, len(history.events), size):
        rows = [e for e in history.events[start : start + size] if e["offset"] not in skipped]
        batch = pa.Table.from_pylist(rows, schema=EVENT_SCHEMA)
        server.serve(batch, committed={0: start})
        server.mark({0: (start, start + size)})
    return store


@pytest.fixture
def history() -> ListHistory:
    """Two hundred events of seven cards."""
    return ListHistory(200)


def test_state_that_was_folded_in_batches_is_clean(history: ListHistory) -> None:
    """Whatever the batches were, every card would be served what Kafka says."""
    report = check_partitions(_served(history), history, TOPIC, [0], sample=100)
    assert (report.checked, report.mismatched, report.partitions) == (7, 0, 1)
    assert report.is_clean


def test_an_event_that_was_never_folded_is_found(history: ListHistory) -> None:
    """One lost event of one card is one card's mismatch."""
    store = _served(history, skipped=range(150, 151))
    report = check_partitions(store, history, TOPIC, [0], sample=100)
    assert report.mismatched == 1
    assert not report.is_clean


def test_checking_changes_nothing(history: ListHistory) -> None:
    """The production store is only read."""
    store = _served(history)
    cards = [f"card-{number}" for number in range(7)]
    manifest = store.manifest(0)
    assert manifest is not None
    before = store.read(0, manifest.generation, cards)
    check_partitions(store, history, TOPIC, [0], sample=100)
    assert store.read(0, manifest.generation, cards) == before
    assert store.manifest(0) == manifest


def test_a_partition_without_state_is_counted_not_failed(history: ListHistory) -> None:
    """Before the first batch there is nothing to be wrong."""
    report = check_partitions(MemoryStateStore(), history, TOPIC, [0], sample=100)
    assert (report.unbuilt, report.checked) == (1, 0)
    assert report.is_clean
