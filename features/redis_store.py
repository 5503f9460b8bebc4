"""Card states in Redis: one round trip to read a batch's cards, one to write them.

Keys, all under `prefix:{partition}`: `:generation`, `:manifest` (JSON), `:served` (the offset after
the newest states) and, a hash of card to state, `:states:<generation>`. A rebuild starts a new hash
and unlinks the old one.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import redis

from contracts.errors import StoreError
from features.state_store import (
    UNKNOWN,
    Manifest,
    Stored,
    Written,
    refuse_generation,
    refuse_lost,
    refuse_older,
)

WRITE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'generation' end
for i = 3, #ARGV, 2 do
  local held = redis.call('HGET', KEYS[2], ARGV[i])
  if held and struct.unpack('>I8', held) > struct.unpack('>I8', ARGV[i + 1]) then
    return ARGV[i]
  end
end
for i = 3, #ARGV, 2000 do
  redis.call('HSET', KEYS[2], unpack(ARGV, i, math.min(i + 1999, #ARGV)))
end
if ARGV[2] ~= '' then redis.call('SET', KEYS[3], ARGV[2]) end
return ''
"""
MARK = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'generation' end
if ARGV[2] ~= '' and redis.call('GET', KEYS[3]) ~= ARGV[2] then return 'lost' end
redis.call('SET', KEYS[2], ARGV[3])
return ''
"""
_Call = tuple[int, str, list[str], list[Any]]
"""Partition, generation, keys and further words of a script's call."""

WRITE_CARDS = 5_000
"""Cards in one call of the script: a Lua call may not hold Redis up for long."""


SAMPLED_CARDS = 50


class RedisStateStore:
    """The stack's store. `prefix` names feature set, pipeline and topic."""

    def __init__(self, url: str, prefix: str, *, timeout_seconds: float = 5.0) -> None:
        self._prefix = prefix
        self._client = redis.Redis.from_url(
            url, socket_timeout=timeout_seconds, socket_connect_timeout=timeout_seconds
        )

    def manifest(self, partition: int) -> Manifest | None:
        """See `StateStore`."""
        keys = (self._key(partition, "generation"), self._key(partition, "manifest"))
        generation, body = self._call(lambda: self._client.mget(keys))
        if generation is None or body is None:
            return None
        manifest = Manifest(**json.loads(body))
        return manifest if manifest.generation == generation.decode() else None

    def read(self, partition: int, generation: str, cards: Sequence[str]) -> Stored:
        """See `StateStore`."""
        return self.read_many({partition: (generation, cards)})[partition]

    def read_many(self, asked: Mapping[int, tuple[str, Sequence[str]]]) -> dict[int, Stored]:
        """See `StateStore`."""
        pipeline = self._client.pipeline(transaction=False)
        for partition, (generation, cards) in asked.items():
            names = ("generation", "manifest", "served")
            pipeline.mget([self._key(partition, name) for name in names])
            pipeline.hmget(self._states(partition, generation), cards)
        answers = iter(self._call(pipeline.execute))
        return {partition: _stored(next(answers), next(answers)) for partition in asked}

    def write(
        self, partition: int, generation: str, states: Mapping[str, bytes], after: int = UNKNOWN
    ) -> None:
        """See `StateStore`."""
        self.write_many({partition: (generation, states, after)})

    def write_many(self, states: Mapping[int, Written]) -> None:
        """See `StateStore`."""
        calls = []
        for partition, (generation, held, after) in states.items():
            keys = self._keys(partition, self._states(partition, generation))
            items = list(held.items())
            for start in range(0, len(items), WRITE_CARDS):
                part = [word for item in items[start : start + WRITE_CARDS] for word in item]
                is_last = start + WRITE_CARDS >= len(items)
                told = _told(after if is_last else UNKNOWN)
                calls.append((partition, generation, keys, [told, *part]))
        self._run(WRITE, calls)

    def begin(self, partition: int, generation: str) -> None:
        """See `StateStore`."""
        before = self._call(lambda: self._client.get(self._key(partition, "generation")))
        pipeline = self._client.pipeline(transaction=True)
        pipeline.delete(self._key(partition, "manifest"), self._key(partition, "served"))
        pipeline.set(self._key(partition, "generation"), generation)
        if before is not None:
            pipeline.unlink(self._states(partition, before.decode()))
        self._call(pipeline.execute)

    def mark(self, partition: int, manifest: Manifest, served: int = UNKNOWN) -> None:
        """See `StateStore`."""
        self.mark_many({partition: manifest}, {partition: served})

    def mark_many(self, manifests: Mapping[int, Manifest], served: Mapping[int, int]) -> None:
        """See `StateStore`."""
        self._run(
            MARK,
            [
                (
                    partition,
                    manifest.generation,
                    self._keys(partition, self._key(partition, "manifest")),
                    [_told(served.get(partition, UNKNOWN)), json.dumps(asdict(manifest))],
                )
                for partition, manifest in manifests.items()
            ],
        )

    def size(self, partitions: Iterable[int]) -> tuple[int, int]:
        """Cards with a state, and the bytes of Redis that these take, estimated from a sample."""
        held = self._call(
            lambda: self._client.mget([self._key(p, "generation") for p in partitions])
        )
        pipeline = self._client.pipeline(transaction=False)
        for partition, generation in zip(partitions, held, strict=True):
            states = self._states(partition, (generation or b"").decode())
            pipeline.hlen(states)
            pipeline.memory_usage(states, samples=SAMPLED_CARDS)
        answers = self._call(pipeline.execute)
        return sum(answers[::2]), sum(size or 0 for size in answers[1::2])

    def _run(self, script: str, calls: Sequence[_Call]) -> None:
        """Run a script once per call, all in one round trip; the first refusal is raised."""
        answers = self._call(lambda: self._evaluated(script, calls))
        for (partition, generation, _, _), answer in zip(calls, answers, strict=True):
            self._refuse(partition, generation, answer.decode())

    def _evaluated(self, script: str, calls: Sequence[_Call]) -> list[bytes]:
        # Not redis-py's script objects: in a pipeline they cost another round trip each time.
        digest = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
        pipeline = self._client.pipeline(transaction=False)
        for _, generation, keys, words in calls:
            pipeline.evalsha(digest, len(keys), *keys, generation, *words)
        try:
            answers: list[bytes] = pipeline.execute()
        except redis.exceptions.NoScriptError:  # the first call ever, or Redis was restarted
            self._client.script_load(script)
            return self._evaluated(script, calls)
        return answers

    def _refuse(self, partition: int, generation: str, answer: str) -> None:
        if answer == "generation":
            raise refuse_generation(partition, generation, None)
        if answer == "lost":
            raise refuse_lost(partition)
        if answer:
            raise refuse_older(partition, answer)

    def _keys(self, partition: int, written: str) -> list[str]:
        """What the scripts are given: generation, what is written, and the offset after it."""
        return [self._key(partition, "generation"), written, self._key(partition, "served")]

    def _key(self, partition: int, name: str) -> str:
        return f"{self._prefix}:{{{partition}}}:{name}"

    def _states(self, partition: int, generation: str) -> str:
        return self._key(partition, f"states:{generation}")

    def _call(self, command: Any) -> Any:
        try:
            return command()
        except redis.RedisError as error:
            raise StoreError(
                f"Redis failed: {error}",
                remedy="Check REDIS_URL and `fraud status`; the fallback rules decide meanwhile",
            ) from error


def _stored(marks: Sequence[bytes | None], states: list[bytes | None]) -> Stored:
    generation, body, served = marks
    return Stored(
        None if generation is None else generation.decode(),
        None if body is None else json.loads(body)["next_offset"],
        states,
        UNKNOWN if served is None else int(served),
    )


def _told(offset: int) -> str:
    return "" if offset == UNKNOWN else str(offset)
