"""The tile service's metrics page (Prometheus): broken promises, frontiers, stalls."""

from collections.abc import Callable, Iterable
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from features.tile_fold import TileFolder
from features.tile_sign import TileSign


class Folding(Protocol):
    """What is shown of a tile service."""

    @property
    def broken_promises(self) -> int:
        """Records behind a promise, since the tiles were begun."""

    @property
    def folder(self) -> TileFolder:
        """Where each partition stands."""


class TileCollector(Collector):
    """Asks a service, and what its sign of life said last, at every scrape."""

    def __init__(self, service: Folding, sign: Callable[[], TileSign]) -> None:
        self._service = service
        self._sign = sign

    def collect(self) -> Iterable[Metric]:
        """Every metric of the page."""
        sign = self._sign()
        yield CounterMetricFamily(
            "fraud_broken_promises",
            "Records behind what a publisher had promised; tiles that had closed lack them",
            value=self._service.broken_promises,
        )
        yield GaugeMetricFamily(
            "fraud_frontier_stalled",
            "Whether a partition holds all others back, so that the rules decide",
            value=float(sign.stall is not None),
        )
        yield self._frontiers()

    def _frontiers(self) -> Metric:
        family = GaugeMetricFamily(
            "fraud_frontier_timestamp_seconds",
            "No later record of the partition counts before this moment",
            labels=["topic", "partition"],
        )
        for (kind, number), place in self._service.folder.places.items():
            family.add_metric([kind, str(number)], place.frontier / 1000)
        return family
