"""Several commands to Redis in one round trip, which may be under way while others work.

A client library's pipeline and pool cost a batch of a few records more than Redis does: here one
connection is kept, and its answers are read when somebody wants them.
"""

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import hiredis
import redis

from contracts.errors import StoreError

Command = Sequence[Any]
"""Words: text, bytes or integers."""
Call = tuple[Sequence[str], Sequence[Any]]
"""Keys and further words of a script's call."""
Awaited = Callable[[], list[Any]]
"""Waits for what Redis says to commands that were sent; the first refusal is raised."""
Result = TypeVar("Result")


class Script:
    """A script in Lua. It is called by its digest; Redis is told the text when it lacks it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


class Letter:
    """Commands in Redis' own words, and the answers to them when they have been read."""

    def __init__(self, commands: Sequence[Command]) -> None:
        self.packed = b"".join(map(hiredis.pack_command, map(tuple, commands)))
        self.count = len(commands)
        self.answers: list[Any] | None = None


class RedisWire:
    """One connection to a Redis, for any thread. Failures are StoreErrors.

    Commands are carried out in the order in which they are sent. When the connection breaks before
    all their answers are there they are sent once more, by whoever wants the answers: so they must
    bear to be carried out twice, and after others.
    """

    def __init__(self, url: str, timeout_seconds: float) -> None:
        pool = redis.ConnectionPool.from_url(
            url,
            protocol=2,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
        )
        self._connection: Any = pool.make_connection()
        self._lock = threading.Lock()
        self._under_way: Letter | None = None

    def ask(self, *commands: Command) -> list[Any]:
        """The answers to all commands; the first refusal is raised once all have run."""
        return self.send(*commands)()

    def send(self, *commands: Command) -> Awaited:
        """What `ask` does, but not waiting."""
        letter = _guarded(lambda: self._sent(commands))
        return lambda: _guarded(lambda: self._answers(letter))

    def transact(self, *commands: Command) -> list[Any]:
        """The answers to all commands, with nobody else's in between."""
        answers: list[Any] = self.ask(("MULTI",), *commands, ("EXEC",))[-1]
        return answers

    def run(self, script: Script, calls: Sequence[Call]) -> list[Any]:
        """What a script answers to each call."""
        return self.start(script, calls)()

    def start(self, script: Script, calls: Sequence[Call]) -> Awaited:
        """What `run` does, but not waiting."""
        commands = [("EVALSHA", script.digest, len(keys), *keys, *words) for keys, words in calls]
        letter = _guarded(lambda: self._sent(commands))
        return lambda: _guarded(lambda: self._evaluated(script, commands, letter))

    def _evaluated(self, script: Script, commands: Sequence[Command], letter: Letter) -> list[Any]:
        try:
            return self._answers(letter)
        except redis.exceptions.NoScriptError:  # the first call ever, or Redis was restarted
            self._answers(self._sent([("SCRIPT", "LOAD", script.text)]))
            return self._answers(self._sent(commands))

    def _sent(self, commands: Sequence[Command]) -> Letter:
        letter = Letter(commands)
        with self._lock, self._whole():
            self._clear()
            with suppress(redis.ConnectionError):  # not under way: `_answers` sends it again
                self._connection.send_packed_command([letter.packed])
                self._under_way = letter
        return letter

    def _answers(self, letter: Letter) -> list[Any]:
        with self._lock, self._whole():
            if self._under_way is letter:
                self._under_way = None
                with suppress(redis.ConnectionError):
                    self._receive(letter)
            if letter.answers is None:
                self._clear()
                self._connection.send_packed_command([letter.packed])
                self._receive(letter)
        for answer in letter.answers or ():
            if isinstance(answer, redis.ResponseError):
                raise answer
        return letter.answers or []

    def _clear(self) -> None:
        """Read the answers that are under way; where that fails they are asked for again."""
        letter, self._under_way = self._under_way, None
        if letter is not None:
            with suppress(redis.ConnectionError, redis.TimeoutError):
                self._receive(letter)

    def _receive(self, letter: Letter) -> None:
        letter.answers = [_answer(self._connection) for _ in range(letter.count)]

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Whatever ends the block early, an interrupt too, leaves no answers for others to take."""
        try:
            yield
        except BaseException:  # an interrupt between two answers, too: raised again, none is left
            self._under_way = None
            self._connection.disconnect()
            raise


def _guarded(command: Callable[[], Result]) -> Result:
    """The command's result, or our own error."""
    try:
        return command()
    except redis.RedisError as error:
        raise StoreError(
            f"Redis failed: {error}",
            remedy="Check REDIS_URL and `fraud status`; the fallback rules decide meanwhile",
        ) from error


def _answer(connection: Any) -> Any:
    """One answer; a refusal is one too, for those after it must be read as well."""
    try:
        return connection.read_response()
    except redis.ResponseError as error:
        return error
