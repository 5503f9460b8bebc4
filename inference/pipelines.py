"""Pipelines by name, and where each tells how it is: no features, so that looking is quick."""

from contracts.settings import Settings
from inference.notes import RedisNotes
from inference.tallies import RedisTallies


def direct_pipeline(group: str) -> str:
    """The pipeline of the direct consumers of a group; Spark's has no name."""
    return f"direct:{group}"


def make_tallies(settings: Settings, pipeline: str = "") -> RedisTallies:
    """Sums of a pipeline."""
    return RedisTallies(settings.redis.url, _prefix(settings, pipeline))


def make_notes(settings: Settings, pipeline: str = "") -> RedisNotes:
    """What a pipeline's processes say of themselves."""
    return RedisNotes(settings.redis.url, _prefix(settings, pipeline))


def _prefix(settings: Settings, pipeline: str) -> str:
    """One for all feature sets: what a champion for others does is news, too."""
    return ":".join(filter(None, ("fraud:told", settings.kafka.topic, pipeline)))
