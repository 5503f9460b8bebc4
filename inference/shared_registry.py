"""One look at the champion's alias for all processes: each looks in turn, the others read of it.

A look costs the registry some milliseconds, and every scoring process wants five a second. What one
of them found is passed on through Redis. Where nobody told anything lately (the registry or Redis
is away, a process died in the middle of its look), each asks the registry itself. Redis ends keys
by the time of day, which may be set back; so each process also counts by a clock of its own.
"""

import hashlib
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import uuid4

import redis

from contracts.errors import StoreError
from contracts.settings import MlflowSettings
from inference.model_pool import Registry
from inference.ports import Model

LOOK_SECONDS = 0.2
"""From one look, by whichever process, to the next."""
TOLD_SECONDS = 2.0
"""So long what was found counts: then those who hear nothing new ask for themselves."""
LONGEST_LOOK_SECONDS = 6.0
"""More than a registry is waited for: until then nobody takes the turn of one who looks."""
NO_CHAMPION = "-"


@dataclass(frozen=True, slots=True)
class Told:
    """What a look found, a version or NO_CHAMPION; `look` is another one with every look."""

    look: str
    found: str


@dataclass(frozen=True, slots=True)
class Turn:
    """Whether this process is to look now, and what was told last."""

    is_ours: bool
    told: Told | None


class Board(Protocol):
    """Where processes agree on who looks and tell what they found; StoreError if unreachable."""

    def take_turn(self) -> Turn:
        """Take the next turn if nobody has it, and read what was told."""

    def end_turn(self, found: str | None, next_seconds: float) -> None:
        """Tell what was found, if anything was, and let somebody look again after so long."""


class RedisBoard:
    """Two keys that end by themselves, of their own for each registry and model name."""

    def __init__(self, url: str, mlflow: MlflowSettings, *, timeout_seconds: float = 0.5) -> None:
        about = f"{mlflow.tracking_uri}\0{mlflow.model_name}".encode()
        self._told = f"fraud:champion-look:{hashlib.sha256(about).hexdigest()[:16]}"
        self._turn = f"{self._told}:turn"
        self._client = redis.Redis.from_url(
            url, socket_timeout=timeout_seconds, socket_connect_timeout=timeout_seconds
        )

    def take_turn(self) -> Turn:
        """See `Board`; one round trip."""
        pipeline = self._client.pipeline(transaction=False)
        pipeline.set(self._turn, 1, nx=True, px=_ms(LONGEST_LOOK_SECONDS))
        pipeline.get(self._told)
        is_ours, told = _answers(pipeline)
        return Turn(bool(is_ours), _told(told))

    def end_turn(self, found: str | None, next_seconds: float) -> None:
        """See `Board`; one round trip."""
        pipeline = self._client.pipeline(transaction=False)
        if found is not None:
            pipeline.set(self._told, f"{uuid4().hex} {found}", px=_ms(TOLD_SECONDS))
        pipeline.pexpire(self._turn, _ms(next_seconds))
        _answers(pipeline)


def _told(value: bytes | None) -> Told | None:
    """What `end_turn` wrote; None for anything else that stands there."""
    look, _, found = (value or b"").decode(errors="replace").partition(" ")
    return Told(look, found) if found else None


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _answers(pipeline: Any) -> list[Any]:
    try:
        found: list[Any] = pipeline.execute()
    except redis.RedisError as error:
        raise StoreError(f"Redis failed: {error}", remedy="Check REDIS_URL") from error
    return found


class SharedRegistry:
    """A registry whose champion is looked up once for all who share a board."""

    def __init__(
        self, registry: Registry, board: Board, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._registry = registry
        self._board = board
        self._clock = clock
        self._heard = ""
        self._heard_at = 0.0

    def champion_version(self) -> str | None:
        """See `Registry`; what another process found, while new looks are told."""
        try:
            turn = self._board.take_turn()
        except StoreError:
            return self._registry.champion_version()
        if turn.is_ours:
            return self._look()
        if turn.told is None or not self._is_news(turn.told):
            return self._registry.champion_version()
        return None if turn.told.found == NO_CHAMPION else turn.told.found

    def _is_news(self, told: Told) -> bool:
        """Whether this process has heard of that look for less than TOLD_SECONDS."""
        now = self._clock()
        if told.look != self._heard:
            self._heard, self._heard_at = told.look, now
        return now - self._heard_at < TOLD_SECONDS

    def _look(self) -> str | None:
        """Ask, and tell the others; not after so long that they have asked for themselves."""
        began, found = self._clock(), None
        try:
            version = self._registry.champion_version()
            found = version or NO_CHAMPION
            return version
        finally:
            took = self._clock() - began
            if took < LONGEST_LOOK_SECONDS:  # afterwards another may have the turn
                with suppress(StoreError):
                    news = found if took < TOLD_SECONDS else None
                    self._board.end_turn(news, LOOK_SECONDS - took)

    def challenger_version(self) -> str | None:
        """See `Registry`; looked up so seldom that every process does it itself."""
        return self._registry.challenger_version()

    def load(self, version: str) -> Model:
        """See `Registry`."""
        return self._registry.load(version)
