"""What each process of a pipeline said of itself last; `fraud status` reads it, dead or alive.

In Redis: processes on several machines share it, and it outlives them. While Redis is away nothing
can be said, and Redis itself is the trouble then. All times are those of Redis: clocks of machines
may differ.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import redis

from contracts.errors import FraudError, StoreError

LIFE_SECONDS = 3.0
KEPT_SECONDS = 3_600.0
"""So long the dead are spoken of."""
LIFE, MODEL = "life", "model"
WAITING, DECIDING, STOPPED, FAILED = "waiting", "deciding", "stopped", "failed"


@dataclass(frozen=True, slots=True)
class Note:
    """What a process said under a name, and when: seconds since 1970."""

    name: str
    who: str
    said_at: float
    body: Mapping[str, Any]


class Notes(Protocol):
    """The newest note by name and process."""

    def write(self, name: str, body: Mapping[str, Any]) -> None:
        """Replace this process's note; without a store nothing is said."""

    def read(self) -> Sequence[Note]:
        """All processes' notes; StoreError when the store is away."""

    def now(self) -> float:
        """The clock of `said_at`; StoreError when the store is away."""


class MemoryNotes:
    """Notes of this process alone."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.now = clock
        self._held: dict[str, Note] = {}

    def write(self, name: str, body: Mapping[str, Any]) -> None:
        """See `Notes`."""
        self._held[name] = Note(name, "me", self.now(), dict(body))

    def read(self) -> Sequence[Note]:
        """See `Notes`."""
        return list(self._held.values())


class RedisNotes:
    """Notes of a pipeline in one Redis hash, a field for each name and process."""

    def __init__(self, url: str, prefix: str, *, who: str = "") -> None:
        self._client = redis.Redis.from_url(url, socket_timeout=2.0, socket_connect_timeout=2.0)
        self._key = f"{prefix}:notes"
        self._who = who or f"{socket.gethostname()}:{os.getpid()}"
        self._cleared_at = 0.0

    def write(self, name: str, body: Mapping[str, Any]) -> None:
        """See `Notes`."""
        try:
            said_at = self.now()
            said = json.dumps({"said_at": said_at, "body": dict(body)})
            self._client.hset(self._key, f"{name}@{self._who}", said)
            self._client.expire(self._key, int(2 * KEPT_SECONDS))
            if said_at - self._cleared_at > KEPT_SECONDS:
                self._clear(said_at - KEPT_SECONDS)
                self._cleared_at = said_at
        except (redis.RedisError, StoreError):
            return

    def _clear(self, before: float) -> None:
        """Forget processes that are long gone."""
        old = [f"{n.name}@{n.who}" for n in self.read() if n.said_at < before]
        if old:
            self._client.hdel(self._key, *old)

    def read(self) -> Sequence[Note]:
        """See `Notes`."""
        try:
            held: Any = self._client.hgetall(self._key)
        except redis.RedisError as error:
            raise _away(error) from error
        fields = [(field.decode().partition("@"), body) for field, body in held.items()]
        return [Note(name, who, **json.loads(body)) for (name, _, who), body in fields]

    def now(self) -> float:
        """See `Notes`."""
        try:
            seconds, microseconds = self._client.time()
        except redis.RedisError as error:
            raise _away(error) from error
        return float(seconds) + float(microseconds) / 1e6


def _away(error: redis.RedisError) -> StoreError:
    return StoreError(f"Redis failed: {error}", remedy="Check REDIS_URL")


class Life:
    """A process as it sees itself: waiting for something, or deciding, round by round.

    The loop that decides says `decided` after each round: one that hangs says it no more, and the
    note tells for how long.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began_at = clock()
        self._round_at: float | None = None
        self._waits = {"text": "it starts", "remedy": "Wait; its log says how far it is"}

    def waits(self, text: str, remedy: str) -> None:
        """Nothing is decided until something has come; how to help it."""
        self._round_at, self._waits = None, {"text": text, "remedy": remedy}

    def decided(self) -> None:
        """A round of the deciding loop is over, with or without records."""
        self._round_at = self._clock()

    def body(self) -> dict[str, Any]:
        """What to note now; `age` and `round` in seconds."""
        now, round_at = self._clock(), self._round_at
        age = {"age": now - self._began_at}
        if round_at is None:
            return {"state": WAITING, **self._waits, **age}
        return {"state": DECIDING, "round": now - round_at, **age}


@contextmanager
def shown_life(notes: Notes, pause: Callable[[float], bool] | None = None) -> Iterator[Life]:
    """Note how the process sees itself for the length of the block, then how it ended.

    `pause` waits so many seconds between two signs and says whether the block has ended.
    """
    ended, life = threading.Event(), Life()
    notes.write(LIFE, life.body())
    teller = threading.Thread(target=_repeat, args=(notes, life, pause or ended.wait), daemon=True)
    teller.start()
    last = {"state": STOPPED}
    try:
        yield life
    except FraudError as error:
        last = {"state": FAILED, "text": error.said, "remedy": error.remedy}
        raise
    except BaseException as error:
        last = {"state": FAILED, "text": f"{type(error).__name__}: {error}", "remedy": ""}
        raise
    finally:
        ended.set()
        teller.join()
        notes.write(LIFE, life.body() | last)


def _repeat(notes: Notes, life: Life, pause: Callable[[float], bool]) -> None:
    while not pause(LIFE_SECONDS):
        notes.write(LIFE, life.body())
