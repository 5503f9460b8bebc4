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
        attend(query, threading.Event())
    assert "\n" not in str(caught.value)
