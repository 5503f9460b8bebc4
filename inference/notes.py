"""What a pipeline's processes said of themselves last; `fraud status` reads it, dead or alive.

In Redis: processes on several machines share it, and it outlives them. While Redis is away nothing
can be said, and Redis itself is the trouble then.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import redis

from contracts.errors import FraudError, StoreError

LIFE_SECONDS = 3.0
KEPT_SECONDS = 7 * 86_400
LIFE, MODEL = "life", "model"
RUNNING, STOPPED, FAILED = "running", "stopped", "failed"


@dataclass(frozen=True, slots=True)
class Note:
    """What was said, and when: seconds since 1970."""

    said_at: float
    body: Mapping[str, Any]


class Notes(Protocol):
    """The newest note by name."""

    def write(self, name: str, body: Mapping[str, Any]) -> None:
        """Replace a note; without a store nothing is said."""

    def read(self) -> Mapping[str, Note]:
        """All notes; StoreError when the store is away."""


class MemoryNotes:
    """Notes of this process."""

    def __init__(self) -> None:
        self._held: dict[str, Note] = {}

    def write(self, name: str, body: Mapping[str, Any]) -> None:
        """See `Notes`."""
        self._held[name] = Note(time.time(), dict(body))

    def read(self) -> Mapping[str, Note]:
        """See `Notes`."""
        return dict(self._held)


class RedisNotes:
    """Notes of a pipeline in one Redis hash."""

    def __init__(self, url: str, prefix: str) -> None:
        self._client = redis.Redis.from_url(url, socket_timeout=2.0, socket_connect_timeout=2.0)
        self._key = f"{prefix}:notes"

    def write(self, name: str, body: Mapping[str, Any]) -> None:
        """See `Notes`."""
        pipeline = self._client.pipeline(transaction=True)
        pipeline.hset(self._key, name, json.dumps({"said_at": time.time(), "body": dict(body)}))
        pipeline.expire(self._key, KEPT_SECONDS)
        try:
            pipeline.execute()
        except redis.RedisError:
            return

    def read(self) -> Mapping[str, Note]:
        """See `Notes`."""
        try:
            held: Any = self._client.hgetall(self._key)
        except redis.RedisError as error:
            raise StoreError(f"Redis failed: {error}", remedy="Check REDIS_URL") from error
        return {name.decode(): Note(**json.loads(body)) for name, body in held.items()}


@contextmanager
def shown_life(notes: Notes, pause: Callable[[float], bool] | None = None) -> Iterator[None]:
    """Say that the pipeline runs for the length of the block, then how it ended.

    `pause` waits so many seconds between two signs and says whether the block has ended.
    """
    ended = threading.Event()
    notes.write(LIFE, {"state": RUNNING})
    teller = threading.Thread(target=_repeat, args=(notes, pause or ended.wait), daemon=True)
    teller.start()
    last: dict[str, str] = {"state": STOPPED}
    try:
        yield
    except FraudError as error:
        last = {"state": FAILED, "text": error.said, "remedy": error.remedy}
        raise
    except BaseException as error:
        last = {"state": FAILED, "text": f"{type(error).__name__}: {error}", "remedy": ""}
        raise
    finally:
        ended.set()
        teller.join()
        notes.write(LIFE, last)


def _repeat(notes: Notes, pause: Callable[[float], bool]) -> None:
    while not pause(LIFE_SECONDS):
        notes.write(LIFE, {"state": RUNNING})
