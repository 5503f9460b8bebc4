"""Tiles in Redis: one round trip to read a batch's entities of all kinds.

Keys under `prefix`: `:manifest` (JSON), `:generation`, `:readers`, and for each kind a hash of
entity to bytes, `:<generation>:<kind>`. A new generation unlinks the one before.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from features.feature import SHARED_ENTITIES
from features.redis_wire import RedisWire, Script
from features.tile_store import Blobs, TileManifest, refuse_tiles

WRITE = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'generation' end
for i = 2, #ARGV, 2 do
  if ARGV[i + 1] == '' then redis.call('HDEL', KEYS[2], ARGV[i])
  else redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
end
return ''
""")
MARK = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'generation' end
redis.call('SET', KEYS[2], ARGV[2])
return ''
""")
WRITE_ENTITIES = 2_000
"""Entities in one call of the script: a Lua call may not hold Redis up for long."""


class RedisTileStore:
    """The stack's store. `prefix` names feature set and topic."""

    def __init__(self, url: str, prefix: str, *, timeout_seconds: float = 5.0) -> None:
        self._prefix = f"{prefix}:tiles"
        self._wire = RedisWire(url, timeout_seconds)

    def manifest(self) -> TileManifest | None:
        """See `TileStore`."""
        return _parsed(self._wire.ask(("GET", self._key("manifest")))[0])

    def read(
        self, generation: str, names: Mapping[str, Sequence[int]]
    ) -> tuple[TileManifest | None, Blobs]:
        """See `TileStore`."""
        asked = {kind: wanted for kind, wanted in names.items() if len(wanted)}
        reads = (
            ("HMGET", self._hash(generation, kind), *(_field(name) for name in wanted))
            for kind, wanted in asked.items()
        )
        # In one transaction: a writer that starts over in between must not show as empty tiles.
        body, *found = self._wire.transact(("GET", self._key("manifest")), *reads)
        return _parsed(body), dict(zip(asked, found, strict=True))

    def write(self, generation: str, kind: str, tiles: Mapping[int, bytes]) -> None:
        """See `TileStore`."""
        keys = [self._key("generation"), self._hash(generation, kind)]
        items = list(tiles.items())
        for start in range(0, len(items), WRITE_ENTITIES):
            words: list[Any] = [generation]
            for name, blob in items[start : start + WRITE_ENTITIES]:
                words += (_field(name), blob)
            self._run(WRITE, keys, words)

    def names(self, generation: str, kind: str) -> Sequence[int]:
        """See `TileStore`."""
        return list(self._scan(generation, kind))

    def _scan(self, generation: str, kind: str) -> Iterator[int]:
        place: bytes | None = None
        while place != b"0":
            command = ("HSCAN", self._hash(generation, kind), place or 0, "COUNT", 1_000)
            place, items = self._wire.ask(command)[0]
            for field in items[::2]:
                yield int.from_bytes(field, "big", signed=True)

    def begin(self, manifest: TileManifest) -> None:
        """See `TileStore`."""
        before = self._wire.ask(("GET", self._key("generation")))[0]
        gone = [self._hash(before.decode(), kind) for kind in SHARED_ENTITIES if before is not None]
        self._wire.transact(
            ("SET", self._key("generation"), manifest.generation),
            ("SET", self._key("manifest"), manifest.to_json()),
            *([("UNLINK", *gone)] if gone else ()),
        )

    def mark(self, manifest: TileManifest) -> None:
        """See `TileStore`."""
        keys = [self._key("generation"), self._key("manifest")]
        self._run(MARK, keys, [manifest.generation, manifest.to_json()])

    def forget(self) -> None:
        """See `TileStore`."""
        self._wire.ask(("DEL", self._key("manifest")))

    def note(self, reader: str, clock_ms: int, wall_ms: int) -> None:
        """See `TileStore`."""
        self._wire.ask(("HSET", self._key("readers"), reader, f"{clock_ms},{wall_ms}"))

    def readers(self) -> Mapping[str, tuple[int, int]]:
        """See `TileStore`."""
        found = [word.decode() for word in self._wire.ask(("HGETALL", self._key("readers")))[0]]
        noted = dict(zip(found[::2], (body.split(",") for body in found[1::2]), strict=True))
        return {reader: (int(clock), int(wall)) for reader, (clock, wall) in noted.items()}

    def show_life(self, key: str, told: str, seconds: int) -> None:
        """Put a key that expires: health checks look for it."""
        self._wire.ask(("SET", key, told, "EX", seconds))

    def has_life(self, key: str) -> bool:
        """Whether the key has not expired."""
        return bool(self._wire.ask(("EXISTS", key))[0])

    def _run(self, script: Script, keys: list[str], words: list[Any]) -> None:
        if self._wire.run(script, [(keys, words)])[0]:
            raise refuse_tiles(words[0])

    def _key(self, name: str) -> str:
        return f"{self._prefix}:{name}"

    def _hash(self, generation: str, kind: str) -> str:
        return self._key(f"{generation}:{kind}")


def _field(name: int) -> bytes:
    return name.to_bytes(8, "big", signed=True)


def _parsed(body: bytes | None) -> TileManifest | None:
    return None if body is None else TileManifest.from_json(body)
