"""The job beside its query, without Spark: which word it ends with."""

import threading
from types import SimpleNamespace

import pytest
from py4j.protocol import Py4JNetworkError

from contracts.errors import StreamError
from inference.spark_job import attend


def ended(error: Exception | None) -> SimpleNamespace:
    """A query that has ended by itself."""
    return SimpleNamespace(id="1", isActive=False, lastProgress=None, exception=lambda: error)


class OrphanedQuery:
    """A query whose Java process was killed."""

    id = "1"

    @property
    def isActive(self) -> bool:  # noqa: N802  Spark's own name
        """Nobody answers."""
        raise Py4JNetworkError("Answer from Java side is empty")


@pytest.mark.parametrize(
    ("query", "word"),
    [
        (ended(OSError("No space left on device\n  at java.io.Writer")), "No space left on device"),
        (ended(OSError()), "OSError"),
        (ended(None), "no reason given"),
        (OrphanedQuery(), "Java process is gone: Answer from Java side is empty"),
    ],
)
def test_a_query_that_ends_by_itself_is_said_to_have_ended(query: object, word: str) -> None:
    """The job stops with one error that names the cause in a line, whatever has ended."""
    with pytest.raises(StreamError, match=word) as caught:
        attend(query, threading.Event(), lambda: None)
    assert "\n" not in str(caught.value)


class Batches:
    """A query whose last micro-batch is another one at some looks; the last look stops the job."""

    id, isActive = "1", True  # noqa: N815  Spark's own name

    def __init__(self, stop: threading.Event, stamps: list[str | None]) -> None:
        self._stop, self._stamps = stop, stamps

    @property
    def lastProgress(self) -> dict[str, str] | None:  # noqa: N802  Spark's own name
        """What Spark says at this look."""
        stamp = self._stamps.pop(0)
        if not self._stamps:
            self._stop.set()
        return None if stamp is None else {"timestamp": stamp}

    def stop(self) -> None:
        """Nothing to stop."""


class Impatient(threading.Event):
    """An event whose waits pass at once."""

    def wait(self, timeout: float | None = None) -> bool:
        """No time passes."""
        return self.is_set()


def test_only_a_micro_batch_that_ends_is_a_round() -> None:
    """A query that hangs is looked at as before, but no sign of deciding comes of it."""
    stop, rounds = Impatient(), list[int]()
    attend(Batches(stop, [None, "a", "a", "b", "b"]), stop, lambda: rounds.append(1))  # type: ignore[arg-type]
    assert len(rounds) == 3
