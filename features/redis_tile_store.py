"""Tiles in Redis: one round trip to read a batch's entities of all kinds.

Keys under `prefix`: `:manifest` (JSON), `:generation`, `:readers`, and for each kind a hash of
entity to bytes, `:<generation>:<kind>`. A new generation unlinks the one before.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import redis

from contracts.errors import StoreError
from features.feature import SHARED_ENTITIES
from features.tile_store import Blobs, TileManifest, refuse_tiles

WRITE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'generation' end
for i = 2, #ARGV, 2 do
  if ARGV[i + 1] == '' then redis.call('HDEL', KEYS[2], ARGV[i])
  else redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
end
return ''
"""
MARK = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'generation' end
redis.call('SET', KEYS[2], ARGV[2])
return ''
"""
WRITE_ENTITIES = 2_000
"""Entities in one call of the script: a Lua call may not hold Redis up for long."""


class RedisTileStore:
    """The stack's store. `prefix` names feature set and topic."""

    def __init__(self, url: str, prefix: str, *, timeout_seconds: float = 5.0) -> None:
        self._prefix = f"{prefix}:tiles"
        self._client = redis.Redis.from_url(
            url, socket_timeout=timeout_seconds, socket_connect_timeout=timeout_seconds
        )
        self._write = self._client.register_script(WRITE)
        self._mark = self._client.register_script(MARK)

    def manifest(self) -> TileManifest | None:
        """See `TileStore`."""
        return _parsed(self._call(lambda: self._client.get(self._key("manifest"))))

    def read(
        self, generation: str, names: Mapping[str, Sequence[int]]
    ) -> tuple[TileManifest | None, Blobs]:
        """See `TileStore`."""
        # In one transaction: a writer that starts over in between must not show as empty tiles.
        pipeline = self._client.pipeline(transaction=True)
        pipeline.get(self._key("manifest"))
        asked = {kind: wanted for kind, wanted in names.items() if len(wanted)}
        for kind, wanted in asked.items():
            pipeline.hmget(self._hash(generation, kind), [_field(name) for name in wanted])
        body, *found = self._call(pipeline.execute)
        return _parsed(body), dict(zip(asked, found, strict=True))

    def write(self, generation: str, kind: str, tiles: Mapping[int, bytes]) -> None:
        """See `TileStore`."""
        keys = [self._key("generation"), self._hash(generation, kind)]
        items = list(tiles.items())
        for start in range(0, len(items), WRITE_ENTITIES):
            words: list[Any] = [generation]
            for name, blob in items[start : start + WRITE_ENTITIES]:
                words += (_field(name), blob)
            self._run(self._write, keys, words)

    def names(self, generation: str, kind: str) -> Sequence[int]:
        """See `TileStore`."""
        return self._call(lambda: list(self._scan(generation, kind)))  # type: ignore[no-any-return]

    def _scan(self, generation: str, kind: str) -> Iterator[int]:
        for field, _ in self._client.hscan_iter(self._hash(generation, kind), count=1_000):
            yield int.from_bytes(field, "big", signed=True)

    def begin(self, manifest: TileManifest) -> None:
        """See `TileStore`."""
        before = self._call(lambda: self._client.get(self._key("generation")))
        pipeline = self._client.pipeline(transaction=True)
        pipeline.set(self._key("generation"), manifest.generation)
        pipeline.set(self._key("manifest"), manifest.to_json())
        if before is not None:
            for kind in SHARED_ENTITIES:
                pipeline.unlink(self._hash(before.decode(), kind))
        self._call(pipeline.execute)

    def mark(self, manifest: TileManifest) -> None:
        """See `TileStore`."""
        keys = [self._key("generation"), self._key("manifest")]
        self._run(self._mark, keys, [manifest.generation, manifest.to_json()])

    def forget(self) -> None:
        """See `TileStore`."""
        self._call(lambda: self._client.delete(self._key("manifest")))

    def note(self, reader: str, clock_ms: int, wall_ms: int) -> None:
        """See `TileStore`."""
        noted = f"{clock_ms},{wall_ms}"
        self._call(lambda: self._client.hset(self._key("readers"), reader, noted))

    def readers(self) -> Mapping[str, tuple[int, int]]:
        """See `TileStore`."""
        found = self._call(lambda: self._client.hgetall(self._key("readers")))
        noted = {reader.decode(): body.decode().split(",") for reader, body in found.items()}
        return {reader: (int(clock), int(wall)) for reader, (clock, wall) in noted.items()}

    def show_life(self, key: str, told: str, seconds: int) -> None:
        """Put a key that expires: health checks look for it."""
        self._call(lambda: self._client.set(key, told, ex=seconds))

    def has_life(self, key: str) -> bool:
        """Whether the key has not expired."""
        return bool(self._call(lambda: self._client.exists(key)))

    def _run(self, script: Any, keys: list[str], words: list[Any]) -> None:
        if self._call(lambda: script(keys=keys, args=words)):
            raise refuse_tiles(words[0])

    def _key(self, name: str) -> str:
        return f"{self._prefix}:{name}"

    def _hash(self, generation: str, kind: str) -> str:
        return self._key(f"{generation}:{kind}")

    def _call(self, command: Any) -> Any:
        try:
            return command()
        except redis.RedisError as error:
            raise StoreError(
                f"Redis failed: {error}",
                remedy="Check REDIS_URL and `fraud status`; the fallback rules decide meanwhile",
            ) from error


def _field(name: int) -> bytes:
    return name.to_bytes(8, "big", signed=True)


def _parsed(body: bytes | None) -> TileManifest | None:
    return None if body is None else TileManifest.from_json(body)
