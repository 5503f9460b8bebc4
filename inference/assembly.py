"""Puts the production parts together: the one place that knows Redis, Kafka and MLflow at once."""

from collections.abc import Iterator
from contextlib import contextmanager

from contracts.metrics_page import served_page
from contracts.settings import Settings
from features.definition import FEATURE_SET
from features.serving import FeatureServer, make_server, make_store, store_prefix
from inference.metrics import Gauges, StreamCollector
from inference.model_pool import MlflowRegistry, ModelPool
from inference.pins import RedisPins
from inference.pipelines import make_notes, make_tallies
from inference.scorer import Scorer, Topics
from inference.shadow import ShadowBudget
from inference.shared_registry import RedisBoard, SharedRegistry
from inference.tallies import Meter


def make_features(settings: Settings, pipeline: str = "") -> FeatureServer:
    """The feature server over Redis and Kafka; each pipeline that reads the topic has own state."""
    return make_server(settings, pipeline)


def make_scorer(settings: Settings, meter: Meter, pipeline: str = "") -> Scorer:
    """The scorer of a pipeline; the meter hears of batches that wait for tiles."""
    features = make_server(settings, pipeline, lambda: meter.count({"frontier_waits": 1}))
    shadow = ShadowBudget(settings.scoring.shadow_share)
    return Scorer(
        Topics.of(settings.kafka),
        features,
        settings.fallback,
        shadow=shadow,
        partitions=settings.kafka.partitions,
    )


def make_pool(settings: Settings, pipeline: str = "") -> ModelPool:
    """A model pool over the registry, nothing loaded yet."""
    notes = make_notes(settings, pipeline)
    board = RedisBoard(settings.redis.url, settings.mlflow)
    registry = SharedRegistry(MlflowRegistry(settings), board)
    return ModelPool(registry, FEATURE_SET.hash, notes=notes)


def make_pins(settings: Settings) -> RedisPins:
    """Pins beside the feature state of the same topic."""
    return RedisPins(settings.redis.url, store_prefix(settings.kafka.topic))


@contextmanager
def shown_metrics(
    settings: Settings, port: int | None, pipeline: str = "", gauges: Gauges = dict
) -> Iterator[None]:
    """Serve a pipeline's metrics page for the length of the block; no port: no page.

    Raises:
        MetricsError: the port is taken.
    """
    if port is None:
        yield
        return
    store, partitions = make_store(settings, pipeline), range(settings.kafka.partitions)
    collector = StreamCollector(
        make_tallies(settings, pipeline), gauges, lambda: store.size(partitions)
    )
    with served_page(port, collector):
        yield
