"""Finds out how the stream is: from Redis, Kafka and the registry, whether it runs or not."""

from collections.abc import Iterator
from contextlib import suppress

import redis

from contracts.errors import BrokerError, RegistryError, StoreError
from contracts.frontiers import alive_key
from contracts.kafka import partition_counts
from contracts.settings import Settings
from features.tile_sign import TileSign
from inference.conditions import (
    Condition,
    pipeline_conditions,
    tile_conditions,
    topic_conditions,
)
from inference.pipelines import direct_pipeline, make_notes, make_tallies
from models.registry import champion_version


def stream_conditions(settings: Settings) -> list[Condition]:
    """What is to be attended to; servers that are away are said by their own health checks."""
    found: list[Condition] = []
    with suppress(BrokerError):
        found += topic_conditions(settings.kafka, partition_counts(settings.kafka))
    with suppress(StoreError):
        found += tile_conditions(tile_sign(settings))
        found += _of_pipelines(settings)
    return found


def _of_pipelines(settings: Settings) -> Iterator[Condition]:
    champion = _champion(settings)
    group = settings.kafka.group_id
    for about, pipeline in (("stream", ""), (f"direct {group}", direct_pipeline(group))):
        notes = make_notes(settings, pipeline)
        sums = make_tallies(settings, pipeline).read()
        yield from pipeline_conditions(about, notes.read(), sums, champion, notes.now())


def _champion(settings: Settings) -> str | RegistryError | None:
    try:
        return champion_version(settings)
    except RegistryError as error:
        return error


def tile_sign(settings: Settings) -> TileSign | None:
    """What `fraud tiles` said in the last seconds.

    Raises:
        StoreError: Redis does not answer.
    """
    client = redis.Redis.from_url(settings.redis.url, socket_timeout=2.0)
    try:
        body = client.get(alive_key(settings.kafka.topic))
    except redis.RedisError as error:
        raise StoreError(f"Redis failed: {error}") from error
    return None if body is None else TileSign.from_json(body)
