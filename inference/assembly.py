"""Puts the production parts together: the one place that knows Redis, Kafka and MLflow at once."""

from contracts.settings import Settings
from features.definition import FEATURE_SET
from features.serving import make_server, store_prefix
from inference.model_pool import MlflowRegistry, ModelPool
from inference.pins import RedisPins
from inference.rules import FallbackRules
from inference.scorer import Scorer, Topics


def make_scorer(settings: Settings) -> Scorer:
    """The scorer over Redis and Kafka."""
    return Scorer(
        Topics.of(settings.kafka), make_server(settings), FallbackRules(settings.fallback)
    )


def make_pool(settings: Settings) -> ModelPool:
    """A model pool over the registry, nothing loaded yet."""
    return ModelPool(MlflowRegistry(settings), FEATURE_SET.hash)


def make_pins(settings: Settings) -> RedisPins:
    """Pins beside the feature state of the same topic."""
    return RedisPins(settings.redis.url, store_prefix(settings.kafka.topic))
