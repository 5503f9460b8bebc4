"""Running the tile service on real servers."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

from prometheus_client.registry import Collector

from contracts.errors import BrokerError, StoreError, TilesError
from contracts.frontiers import alive_key
from contracts.metrics_page import MetricsError, served_page
from contracts.settings import Settings
from features import layout
from features.frontier_watch import FrontierWatch
from features.kafka_tile_source import KafkaTileSource
from features.redis_tile_store import RedisTileStore
from features.serving import make_tile_store
from features.tile_metrics import TileCollector
from features.tile_service import BACKLOG_RECORDS, TileService
from features.tile_sign import Stall, TileSign
from features.tile_store import TileManifest, TileStore
from features.tile_writer import Keeping

logger = logging.getLogger(__name__)

LIFE_SECONDS = 1.0
LIFE_EXPIRES_SECONDS = 10
REST_SECONDS = 0.5
PACE_SECONDS = 0.06
"""From one step to the next without a backlog: each has a cost of its own, however few records."""
SILENT_SECONDS = 30.0
REBUILD_SECONDS = 3600.0

Progress = Callable[[int], None]


def run_tiles(settings: Settings, stop: threading.Event, metrics_port: int | None = None) -> None:
    """Fold until `stop` is set; waits for a store or a broker that is away.

    Raises:
        BrokerError: Kafka is out of reach at the start.
    """
    store = make_tile_store(settings)
    with closing(KafkaTileSource(settings.kafka)) as source:
        service = make_service(settings, store, source)
        life = TileLife(store, alive_key(settings.kafka.topic))
        watch = FrontierWatch(source.known_ends, settings.tiles.wait_seconds, time.monotonic)
        with page_if_free(metrics_port, TileCollector(service, lambda: life.sign)):
            fold_until(stop, service, watch, life.show)


@contextmanager
def page_if_free(port: int | None, collector: Collector) -> Iterator[None]:
    """A metrics page for the length of the block, but a taken port keeps nobody from folding."""
    with ExitStack() as page:
        try:
            if port is not None:
                page.enter_context(served_page(port, collector))
        except MetricsError as error:
            logger.error("folding without a metrics page: %s", error)
        yield


class TileLife:
    """The sign of life in Redis, and what it said last."""

    def __init__(self, store: RedisTileStore, key: str) -> None:
        self._store = store
        self._key = key
        self.sign = TileSign(0, 0, 0)

    def show(self, sign: TileSign) -> None:
        """Say this, for some seconds."""
        self.sign = sign
        self._store.show_life(self._key, sign.to_json(), LIFE_EXPIRES_SECONDS)


def fold_until(
    stop: threading.Event,
    service: TileService,
    watch: FrontierWatch,
    show_life: Callable[[TileSign], None],
) -> None:
    """Fold until `stop` is set, from the store's state again after each failure of a server."""
    next_sign = 0.0
    is_started = False
    while not stop.is_set():
        try:
            if not is_started:
                service.start()
                is_started = True
            began = time.monotonic()
            count = service.step()
            if time.monotonic() >= next_sign:
                show_life(told(service, watch.look(service.folder)))
                next_sign = time.monotonic() + LIFE_SECONDS
            if count <= BACKLOG_RECORDS:
                stop.wait(max(0.0, PACE_SECONDS - (time.monotonic() - began)))
        except (StoreError, BrokerError) as error:
            logger.warning("waiting for a server: %s", error)
            is_started = False
            stop.wait(REST_SECONDS)


def make_service(settings: Settings, store: TileStore, source: KafkaTileSource) -> TileService:
    """The service over a store and Kafka, keeping what the settings say."""
    keeping = Keeping(round(settings.tiles.slack_days * layout.DAY))
    return TileService(store, source, keeping=keeping)


def told(service: TileService, stall: Stall | None) -> TileSign:
    """What the sign of life says: frontiers, incidents, and who holds everybody up."""
    manifest = service.manifest
    return TileSign(manifest.transactions_ms, manifest.labels_ms, service.broken_promises, stall)


def rebuild_tiles(settings: Settings, progress: Progress) -> None:
    """Make all tiles anew, up to what the topics hold now.

    A running `fraud tiles` does it; without one this process does.

    Raises:
        BrokerError, StoreError: a server does not answer.
        TilesError: the running `fraud tiles` has not done it within an hour.
    """
    store = make_tile_store(settings)
    before = store.manifest()
    store.forget()
    if store.has_life(alive_key(settings.kafka.topic)):
        await_renewal(store, before)
        return
    source = KafkaTileSource(settings.kafka)
    try:
        fold_to_end(make_service(settings, store, source), source, settings, progress)
    finally:
        source.close()


def fold_to_end(
    service: TileService, source: KafkaTileSource, settings: Settings, progress: Progress
) -> None:
    """Fold all that the topics hold now, and write what has closed.

    Raises:
        BrokerError: no record came for half a minute.
    """
    service.start()
    ends = source.ends()
    heard_at = time.monotonic()
    while any(service.folder.places[place].offset < end for place, end in ends.items()):
        count = service.step()
        progress(count)
        heard_at = time.monotonic() if count else heard_at
        if time.monotonic() - heard_at > SILENT_SECONDS:
            raise BrokerError(
                f"Kafka gave no records for {SILENT_SECONDS:.0f} s",
                value=settings.kafka.topic,
                remedy="Check the broker with `fraud status` and its log",
            )
    service.write()


def await_renewal(
    store: TileStore,
    before: TileManifest | None,
    *,
    clock: Callable[[], float] = time.monotonic,
    rest: Callable[[float], None] = time.sleep,
) -> None:
    """Wait until the running service has got as far as it was; TilesError when it does not."""
    deadline = clock() + REBUILD_SECONDS
    wanted = 0 if before is None else before.transactions_ms
    while clock() < deadline:
        manifest = store.manifest()
        if manifest is not None and manifest.transactions_ms >= wanted:
            return
        rest(0.1)
    raise TilesError(
        f"`fraud tiles` has not made the tiles anew within {REBUILD_SECONDS:.0f} s",
        remedy="See its log; with it stopped, `fraud rebuild-state` does it itself",
    )
