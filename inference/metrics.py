"""The metrics page (Prometheus): rates, latency, batch time, lag, version, tiers, rejects."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from contracts.errors import StoreError
from inference.decision_json import KINDS
from inference.tallies import LATENCY_BUCKETS_MS, LATENCY_PREFIX, LATENCY_SUM, Tallies

Gauges = Callable[[], Mapping[str, float]]
Size = Callable[[], tuple[int, int]]
"""Cards with state and its bytes; StoreError when the store is away."""
SINGLE = {
    "rejected": "Records sent to the dead-letter topic",
    "late": "Decided events that came late",
    "duplicate": "Decided events that were repeats",
    "store_failures": "Batches decided without feature state",
    "tiles_late": "Batches decided without features because tiles across cards were not complete",
    "misplaced": "Records on another partition than their card's, decided by the rules",
    "pin_failures": "Batches whose model version could not be agreed on",
    "shadow_scored": "Events that the challenger scored too",
    "shadow_skipped": "Events that it left out, having used its share of the time",
    "ahead_of_clock": "Records stamped later than this machine's clock says",
    "frontier_waits": "Batches that waited for cross-card tiles",
}
VERSION_PREFIX = "version:"
TIER_PREFIX = "tier:"


class StreamCollector(Collector):
    """Reads sums and gauges at every scrape; a store that is away shows as `fraud_store_up` 0."""

    def __init__(self, tallies: Tallies, gauges: Gauges, size: Size) -> None:
        self._tallies = tallies
        self._gauges = gauges
        self._size = size

    def collect(self) -> Iterable[Metric]:
        """Every metric of the page."""
        up, sums, (cards, size) = 1.0, {}, (0, 0)
        try:
            sums = dict(self._tallies.read())
            cards, size = self._size()
        except StoreError:
            up = 0.0
        yield GaugeMetricFamily("fraud_store_up", "Whether Redis answers", value=up)
        yield _labelled("fraud_decisions", "Decisions by kind", "decision", _kinds(sums))
        yield _labelled("fraud_tier", "Decisions by tier", "tier", _after(sums, TIER_PREFIX))
        yield _labelled(
            "fraud_model", "Decisions by model version", "version", _after(sums, VERSION_PREFIX)
        )
        for name, text in SINGLE.items():
            yield CounterMetricFamily(f"fraud_{name}", text, value=sums.get(name, 0))
        yield GaugeMetricFamily("fraud_state_cards", "Cards with feature state", value=cards)
        yield GaugeMetricFamily("fraud_state_bytes", "What their state takes in Redis", value=size)
        yield _latency(sums)
        for name, value in self._gauges().items():
            yield GaugeMetricFamily(f"fraud_{name}", name.replace("_", " "), value=value)


def _kinds(sums: Mapping[str, int]) -> dict[str, int]:
    return {kind: sums.get(kind, 0) for kind in KINDS}


def _after(sums: Mapping[str, int], prefix: str) -> dict[str, int]:
    return {n.removeprefix(prefix): v for n, v in sums.items() if n.startswith(prefix)}


def _labelled(name: str, text: str, label: str, values: Mapping[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _latency(sums: Mapping[str, int]) -> HistogramMetricFamily:
    def cumulative() -> Iterator[tuple[str, float]]:
        total = 0
        for bound in LATENCY_BUCKETS_MS:
            total += sums.get(f"{LATENCY_PREFIX}{bound}", 0)
            yield str(bound / 1000), total
        yield "+Inf", total + sums.get(f"{LATENCY_PREFIX}inf", 0)

    return HistogramMetricFamily(
        "fraud_latency_seconds",
        "From the producer's send to the score, before it is written",
        buckets=list(cumulative()),
        sum_value=sums.get(LATENCY_SUM, 0) / 1000,
    )


def query_gauges(progress: Mapping[str, Any] | None) -> dict[str, float]:
    """What Spark says of its last micro-batch."""
    from inference.progress import lag

    if progress is None:
        return {}
    spent = progress.get("durationMs") or {}
    return {
        "batch_id": float(progress["batchId"]),
        "batch_events": float(progress["numInputRows"]),
        "batch_seconds": spent.get("triggerExecution", 0) / 1000,
        "batch_score_and_write_seconds": spent.get("addBatch", 0) / 1000,
        "events_per_second": float(progress.get("processedRowsPerSecond") or 0.0),
        "lag_records": float(lag(progress)),
    }
