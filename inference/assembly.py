"""Puts the production parts together: the one place that knows Redis, Kafka and MLflow at once."""

from contracts.settings import Settings
from features.definition import FEATURE_SET
from features.serving import FeatureServer, make_server, store_prefix
from inference.model_pool import MlflowRegistry, ModelPool
from inference.pins import RedisPins
from inference.scorer import Scorer, Topics
from inference.shadow import ShadowBudget
from inference.tallies import RedisTallies


def make_features(settings: Settings, pipeline: str = "") -> FeatureServer:
    """The feature server over Redis and Kafka; each pipeline that reads the topic has own state."""
    return make_server(settings, pipeline)


def make_scorer(settings: Settings, pipeline: str = "") -> Scorer:
    """The scorer of a pipeline."""
    features = make_features(settings, pipeline)
    shadow = ShadowBudget(settings.scoring.shadow_share)
    return Scorer(
        Topics.of(settings.kafka),
        features,
        settings.fallback,
        shadow=shadow,
        partitions=settings.kafka.partitions,
    )


def make_pool(settings: Settings) -> ModelPool:
    """A model pool over the registry, nothing loaded yet."""
    return ModelPool(MlflowRegistry(settings), FEATURE_SET.hash)


def make_pins(settings: Settings) -> RedisPins:
    """Pins beside the feature state of the same topic."""
    return RedisPins(settings.redis.url, store_prefix(settings.kafka.topic))


def make_tallies(settings: Settings, pipeline: str = "") -> RedisTallies:
    """Sums of a pipeline, beside its state."""
    prefix = store_prefix(settings.kafka.topic)
    return RedisTallies(settings.redis.url, f"{prefix}:{pipeline}" if pipeline else prefix)
