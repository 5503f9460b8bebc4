"""Several commands to Redis in one round trip, without what a client library's pipeline costs.

A batch of a few records asks the store three times: there the library's bookkeeping takes longer
than Redis does.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import redis

from contracts.errors import StoreError

Command = Sequence[Any]
"""Words: text, bytes or integers."""


Call = tuple[Sequence[str], Sequence[Any]]
"""Keys and further words of a script's call."""


class Script:
    """A script in Lua. It is called by its digest; Redis is told the text when it lacks it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


class RedisWire:
    """One Redis. Failures are StoreErrors; a broken connection is opened again as a client does."""

    def __init__(self, url: str, timeout_seconds: float) -> None:
        self._client = redis.Redis.from_url(
            url,
            protocol=2,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
        )

    def ask(self, *commands: Command) -> list[Any]:
        """The answers to all commands; the first refusal is raised once all have run."""
        return _guarded(lambda: self._asked(commands))

    def transact(self, *commands: Command) -> list[Any]:
        """The answers to all commands, with nobody else's in between."""
        answers: list[Any] = self.ask(("MULTI",), *commands, ("EXEC",))[-1]
        return answers

    def run(self, script: Script, calls: Sequence[Call]) -> list[Any]:
        """What a script answers to each call."""
        commands = [("EVALSHA", script.digest, len(keys), *keys, *words) for keys, words in calls]
        return _guarded(lambda: self._evaluated(script, commands))

    def _evaluated(self, script: Script, commands: Sequence[Command]) -> list[Any]:
        try:
            return self._asked(commands)
        except redis.exceptions.NoScriptError:  # the first call ever, or Redis was restarted
            self._client.script_load(script.text)
            return self._asked(commands)

    def _asked(self, commands: Sequence[Command]) -> list[Any]:
        pool = self._client.connection_pool
        connection: Any = pool.get_connection()
        try:
            packed = connection.pack_commands(commands)
            answers: list[Any] = connection.retry.call_with_retry(
                lambda: _exchanged(connection, packed, len(commands)),
                lambda error: connection.disconnect(),
            )
        finally:
            pool.release(connection)
        for answer in answers:
            if isinstance(answer, redis.ResponseError):
                raise answer
        return answers


def _guarded(command: Callable[[], list[Any]]) -> list[Any]:
    """The command's answers, or our own error."""
    try:
        return command()
    except redis.RedisError as error:
        raise StoreError(
            f"Redis failed: {error}",
            remedy="Check REDIS_URL and `fraud status`; the fallback rules decide meanwhile",
        ) from error


def _exchanged(connection: Any, packed: Sequence[bytes], count: int) -> list[Any]:
    connection.send_packed_command(packed)
    return [_answer(connection) for _ in range(count)]


def _answer(connection: Any) -> Any:
    """One answer; a refusal is one too, for those after it must be read as well."""
    try:
        return connection.read_response()
    except redis.ResponseError as error:
        return error
