"""Card states in Redis: one round trip to read a batch's cards, one to write them.

Keys, all under `prefix:{partition}`: `:generation`, `:manifest` (JSON), `:served` (the offset after
the newest states) and, a hash of card to state, `:states:<generation>`. A rebuild starts a new hash
and unlinks the old one.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from features.redis_wire import Call, RedisWire, Script
from features.state_store import (
    UNKNOWN,
    Manifest,
    Stored,
    Written,
    refuse_generation,
    refuse_lost,
    refuse_others,
)

WRITE = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'generation' end
if (redis.call('GET', KEYS[3]) or '') ~= ARGV[2] then return 'others' end
for i = 4, #ARGV, 2000 do
  redis.call('HSET', KEYS[2], unpack(ARGV, i, math.min(i + 1999, #ARGV)))
end
if ARGV[3] ~= '' then redis.call('SET', KEYS[3], ARGV[3]) end
return ''
""")
MARK = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'generation' end
if ARGV[2] ~= '' and redis.call('GET', KEYS[3]) ~= ARGV[2] then return 'lost' end
redis.call('SET', KEYS[2], ARGV[3])
return ''
""")

WRITE_CARDS = 5_000
"""Cards in one call of the script: a Lua call may not hold Redis up for long."""
SAMPLED_CARDS = 50
MARKS = 3
"""What a read brings along of each partition: generation, manifest, and the offset served."""


class RedisStateStore:
    """The stack's store. `prefix` names feature set, pipeline and topic."""

    def __init__(self, url: str, prefix: str, *, timeout_seconds: float = 5.0) -> None:
        self._prefix = prefix
        self._wire = RedisWire(url, timeout_seconds)

    def manifest(self, partition: int) -> Manifest | None:
        """See `StateStore`."""
        generation, body, _ = self._wire.ask(("MGET", *self._marks(partition)))[0]
        if generation is None or body is None:
            return None
        manifest = Manifest(**json.loads(body))
        return manifest if manifest.generation == generation.decode() else None

    def read(self, partition: int, generation: str, cards: Sequence[str]) -> Stored:
        """See `StateStore`."""
        return self.reading({partition: (generation, cards)})()[partition]

    def reading(
        self, asked: Mapping[int, tuple[str, Sequence[str]]]
    ) -> Callable[[], dict[int, Stored]]:
        """See `StateStore`."""
        # The marks first: who goes on from newer states than they say is refused when it writes.
        answers = self._wire.send(
            ("MGET", *(key for partition in asked for key in self._marks(partition))),
            *(
                ("HMGET", self._states(partition, generation), *cards)
                for partition, (generation, cards) in asked.items()
            ),
        )

        def stored() -> dict[int, Stored]:
            marks, *found = answers()
            return {
                partition: _stored(marks[MARKS * place : MARKS * (place + 1)], found[place])
                for place, partition in enumerate(asked)
            }

        return stored

    def write(self, partition: int, written: Written) -> None:
        """See `StateStore`."""
        self.writing({partition: written})()

    def writing(self, states: Mapping[int, Written]) -> Callable[[], None]:
        """See `StateStore`."""
        calls = [
            (partition, call)
            for partition, written in states.items()
            for call in self._writes(partition, written)
        ]
        answers = self._wire.start(WRITE, [call for _, call in calls])
        partitions = [partition for partition, _ in calls]
        return lambda: _refuse(partitions, answers())

    def begin(self, partition: int, generation: str) -> None:
        """See `StateStore`."""
        current, manifest, served = self._marks(partition)
        before = self._wire.ask(("GET", current))[0]
        gone = [] if before is None else [("UNLINK", self._states(partition, before.decode()))]
        self._wire.transact(("DEL", manifest, served), ("SET", current, generation), *gone)

    def mark(self, partition: int, manifest: Manifest, served: int = UNKNOWN) -> None:
        """See `StateStore`."""
        self.mark_many({partition: manifest}, {partition: served})

    def mark_many(self, manifests: Mapping[int, Manifest], served: Mapping[int, int]) -> None:
        """See `StateStore`."""
        calls = []
        for partition, manifest in manifests.items():
            told = _told(served.get(partition, UNKNOWN))
            words = (manifest.generation, told, json.dumps(asdict(manifest)))
            calls.append((self._marks(partition), words))
        _refuse(list(manifests), self._wire.run(MARK, calls))

    def size(self, partitions: Iterable[int]) -> tuple[int, int]:
        """Cards with a state, and the bytes of Redis that these take, estimated from a sample."""
        held = self._wire.ask(*(("GET", self._marks(p)[0]) for p in partitions))
        commands: list[Sequence[Any]] = []
        for partition, generation in zip(partitions, held, strict=True):
            states = self._states(partition, (generation or b"").decode())
            commands.append(("HLEN", states))
            commands.append(("MEMORY", "USAGE", states, "SAMPLES", SAMPLED_CARDS))
        answers = self._wire.ask(*commands)
        return sum(answers[::2]), sum(size or 0 for size in answers[1::2])

    def _writes(self, partition: int, written: Written) -> Iterator[Call]:
        """The script's calls; only the last one says that the states are there."""
        generation, _, served = self._marks(partition)
        keys = (generation, self._states(partition, written.generation), served)
        words = [word for item in written.states.items() for word in item]
        for start in range(0, len(words), 2 * WRITE_CARDS):
            part = words[start : start + 2 * WRITE_CARDS]
            after = written.after if start + len(part) == len(words) else UNKNOWN
            yield keys, (written.generation, _told(written.before), _told(after), *part)

    def _marks(self, partition: int) -> tuple[str, str, str]:
        key = f"{self._prefix}:{{{partition}}}"
        return f"{key}:generation", f"{key}:manifest", f"{key}:served"

    def _states(self, partition: int, generation: str) -> str:
        return f"{self._prefix}:{{{partition}}}:states:{generation}"


def _stored(marks: Sequence[bytes | None], states: list[bytes | None]) -> Stored:
    generation, body, served = marks
    return Stored(
        None if generation is None else generation.decode(),
        None if body is None else _next_offset(body),
        states,
        UNKNOWN if served is None else int(served),
    )


@lru_cache(maxsize=1024)
def _next_offset(manifest: bytes) -> int:
    """Of a manifest, which is read far more often than it is written."""
    found: int = json.loads(manifest)["next_offset"]
    return found


def _told(offset: int) -> str:
    return "" if offset == UNKNOWN else str(offset)


def _refuse(partitions: Sequence[int], answers: Sequence[bytes]) -> None:
    """Raise the first refusal of a script."""
    for partition, answer in zip(partitions, answers, strict=True):
        if answer == b"generation":
            raise refuse_generation(partition)
        if answer == b"others":
            raise refuse_others(partition)
        if answer == b"lost":
            raise refuse_lost(partition)
