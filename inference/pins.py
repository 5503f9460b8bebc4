"""Which model version decides a micro-batch: the first proposal wins, for all tasks and replays."""

from typing import Protocol

import redis

from contracts.errors import StoreError

REMEMBERED_BATCHES = 200
"""Spark replays at most the batch after the last committed one; older pins are dropped."""


class Pins(Protocol):
    """Set-if-absent by (query id, batch id)."""

    def pin(self, query_id: str, batch_id: int, proposed: str) -> str:
        """The version of a batch: `proposed` if nobody was first; StoreError if unreachable."""


class MemoryPins:
    """Pins of this process, for tests and single-process use."""

    def __init__(self) -> None:
        self._pins: dict[tuple[str, int], str] = {}

    def pin(self, query_id: str, batch_id: int, proposed: str) -> str:
        """See `Pins`."""
        return self._pins.setdefault((query_id, batch_id), proposed)


class RedisPins:
    """Pins shared by all tasks of a query: a hash per query, batch id to version."""

    def __init__(self, url: str, prefix: str, *, timeout_seconds: float = 5.0) -> None:
        self._prefix = prefix
        self._client = redis.Redis.from_url(
            url, socket_timeout=timeout_seconds, socket_connect_timeout=timeout_seconds
        )

    def pin(self, query_id: str, batch_id: int, proposed: str) -> str:
        """See `Pins`; one round trip."""
        key = f"{self._prefix}:pins:{query_id}"
        pipeline = self._client.pipeline(transaction=False)
        pipeline.hsetnx(key, str(batch_id), proposed)
        pipeline.hget(key, str(batch_id))
        pipeline.hdel(key, str(batch_id - REMEMBERED_BATCHES))
        try:
            _, pinned, _ = pipeline.execute()
        except redis.RedisError as error:
            raise StoreError(
                f"Redis failed: {error}", remedy="Check REDIS_URL and `fraud status`"
            ) from error
        version: bytes = pinned
        return version.decode()
