"""Counts and the metrics page: nothing is counted twice, nothing is lost while Redis is away."""

from collections.abc import Mapping

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from contracts.errors import StoreError
from inference.metrics import StreamCollector, query_gauges
from inference.tallies import LATENCY_SUM, MemoryTallies, Meter, ages_ms, latency_counts

PROGRESS = {
    "batchId": 7,
    "numInputRows": 150,
    "processedRowsPerSecond": 900.0,
    "durationMs": {"triggerExecution": 120, "addBatch": 90},
    "sources": [{"latestOffset": {"t": {"0": 50, "1": 9}}, "endOffset": {"t": {"0": 40, "1": 9}}}],
}


class FlakyTallies(MemoryTallies):
    """Away until told otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away = True

    def add(self, counts: Mapping[str, int]) -> None:
        """Fails while away."""
        if self.is_away:
            raise StoreError("away")
        super().add(counts)

    def read(self) -> Mapping[str, int]:
        """Fails while away."""
        if self.is_away:
            raise StoreError("away")
        return super().read()


def page(tallies: MemoryTallies) -> str:
    """The page as a scraper sees it."""
    registry = CollectorRegistry()
    registry.register(StreamCollector(tallies, lambda: query_gauges(PROGRESS), lambda: (3, 5_000)))
    return generate_latest(registry).decode()


def test_latencies_fall_into_buckets_by_age() -> None:
    """A record's age since its send decides its bucket; records without a send time have none."""
    now_ms = 1_000_000.0
    sent = [b"999999000", b"999950000", b"1000000000", None, b"junk"]
    counts = latency_counts(ages_ms(sent, now_ms))
    assert counts == {"latency_ms:2": 2, "latency_ms:50": 1, LATENCY_SUM: 51}


def test_backfilled_records_do_not_count_as_slow() -> None:
    """Older than an hour means that it was not sent live."""
    assert ages_ms([b"1"], 1e9) == []


@pytest.mark.parametrize("sent", [b"9" * 16, b"9" * 25, b"9" * 400, b"9" * 5_000, b"-1", b""])
def test_a_header_that_tells_no_time_does_no_harm(sent: bytes) -> None:
    """Anybody may write into a record's header: nothing is counted, and nothing breaks."""
    assert ages_ms([sent], 1e12) == []


def test_counts_wait_while_the_store_is_away() -> None:
    """A failed flush is tried again with everything since, once."""
    tallies = FlakyTallies()
    meter = Meter(tallies, wall_ms=lambda: 0.0)
    meter.count({"approve": 3})
    meter.flush()
    meter.count({"approve": 2})
    tallies.is_away = False
    meter.flush()
    meter.flush()
    assert tallies.read() == {"approve": 5}


def test_the_page_shows_sums_latency_and_the_last_batch() -> None:
    """Decisions by kind and tier, a cumulative histogram, batch gauges."""
    tallies = MemoryTallies()
    tallies.add({"approve": 5, "tier:model": 6, "version:3": 6, "latency_ms:2": 4})
    tallies.add({"latency_ms:inf": 1, "rejected": 2})
    text = page(tallies)
    for line in (
        'fraud_decisions_total{decision="approve"} 5.0',
        'fraud_tier_total{tier="model"} 6.0',
        'fraud_model_total{version="3"} 6.0',
        "fraud_rejected_total 2.0",
        'fraud_latency_seconds_bucket{le="0.005"} 4.0',
        'fraud_latency_seconds_bucket{le="+Inf"} 5.0',
        "fraud_lag_records 10.0",
        "fraud_batch_seconds 0.12",
        "fraud_store_up 1.0",
        "fraud_state_cards 3.0",
        "fraud_state_bytes 5000.0",
    ):
        assert line in text


def test_the_page_still_answers_without_a_store() -> None:
    """Redis away: the page says so instead of failing."""
    assert "fraud_store_up 0.0" in page(FlakyTallies())
