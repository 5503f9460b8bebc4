"""`fraud tiles` outlives its servers, and a rebuild that does not come is not reported as done."""

import socket
import threading
from collections.abc import Mapping, Sequence

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from prometheus_client import CollectorRegistry

from contracts.errors import BrokerError, FraudError, StoreError, TilesError
from contracts.frontiers import Promise, readable_promise
from features.frontier_watch import FrontierWatch
from features.kafka_tile_source import end_of
from features.tile_fold import Partition
from features.tile_run import await_renewal, fold_until, page_if_free
from features.tile_service import Arrived, TileService
from features.tile_sign import TileSign
from features.tile_store import MemoryTileStore, TileManifest


class FailingSource:
    """Nothing to read; each poll fails as told, and the last one says stop."""

    def __init__(self, stop: threading.Event, failures: list[FraudError]) -> None:
        self.seeks = 0
        self._stop = stop
        self._failures = failures

    def partitions(self) -> Sequence[Partition]:
        """None."""
        return []

    def seek(self, offsets: Mapping[Partition, int]) -> None:
        """Counted."""
        self.seeks += 1

    def poll(self) -> Sequence[Arrived]:
        """Fail, or stop."""
        if self._failures:
            raise self._failures.pop(0)
        self._stop.set()
        return []

    def promises(self) -> Sequence[tuple[Partition, int, int]]:
        """None."""
        return []

    def idle_ends(self) -> Mapping[Partition, int] | None:
        """None."""
        return None


def test_servers_that_are_away_are_waited_for() -> None:
    """After a failure of broker or store, folding goes on from the store's offsets."""
    stop, store = threading.Event(), MemoryTileStore()
    source = FailingSource(stop, [BrokerError("restarting"), StoreError("away")])
    signs: list[TileSign] = []
    watch = FrontierWatch(dict, 10.0, lambda: 0.0)
    fold_until(stop, TileService(store, source, clock=lambda: 0.0), watch, signs.append)
    assert (source.seeks, signs) == (3, [TileSign(0, 0, 0)])


def test_a_taken_metrics_port_keeps_nobody_from_folding(caplog: pytest.LogCaptureFixture) -> None:
    """Decisions wait for tiles, not for the page: its port and the remedy are in the log."""
    folded = False
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with page_if_free(port, CollectorRegistry()):
            folded = True
    assert folded
    assert f"{port}" in caplog.text
    assert "--metrics-port" in caplog.text


class DeafConsumer:
    """Its broker is restarting."""

    def get_watermark_offsets(self, place: TopicPartition, timeout: float) -> tuple[int, int]:
        """No answer."""
        raise KafkaException(KafkaError(KafkaError._TRANSPORT))


def test_a_broker_without_an_answer_is_the_projects_error() -> None:
    """Asking where a partition ends while the broker restarts is an error that is waited for."""
    with pytest.raises(BrokerError, match="where t ends"):
        end_of(DeafConsumer(), TopicPartition("t", 0))


class Ticks:
    """A clock that each rest moves on by ten minutes; `then` happens at the second rest."""

    def __init__(self) -> None:
        self.now = 0.0
        self.store = MemoryTileStore()
        self.renewed: TileManifest | None = None

    def rest(self, seconds: float) -> None:
        """Let time pass."""
        self.now += 600.0
        if self.now == 1200.0 and self.renewed is not None:
            self.store.begin(self.renewed)


@pytest.mark.parametrize("renewed", [None, TileManifest("new", 4_999)])
def test_tiles_that_are_not_renewed_are_an_error(renewed: TileManifest | None) -> None:
    """An hour without a manifest as far as the old one ends in the project's own error."""
    ticks = Ticks()
    ticks.renewed = renewed
    with pytest.raises(TilesError, match="3600 s"):
        await_renewal(
            ticks.store, TileManifest("old", 5_000), clock=lambda: ticks.now, rest=ticks.rest
        )


def test_a_renewal_is_waited_for_as_far_as_the_tiles_were() -> None:
    """The wait ends with the first manifest that is as far as the one before."""
    ticks = Ticks()
    ticks.renewed = TileManifest("new", 5_000)
    await_renewal(ticks.store, TileManifest("old", 5_000), clock=lambda: ticks.now, rest=ticks.rest)
    assert ticks.now == 1200.0


@pytest.mark.parametrize(
    "body",
    [
        None,
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"until_ms":null,"ends":{}}',
        b'{"until_ms":1,"ends":[]}',
        b'{"until_ms":1,"ends":{"t":{"x":1}}}',
        b'{"until_ms":1,"ends":{"t":{"0":null}}}',
        b'{"until_ms":"soon","ends":{"t":{"0":1}}}',
    ],
)
def test_what_is_no_promise_is_passed_over(body: bytes | None) -> None:
    """A malformed record of the frontiers topic is none, and a promise is read as it was sent."""
    assert readable_promise(body) is None
    promise = Promise(5, {"t": {0: 7}})
    assert readable_promise(promise.to_json()) == promise
