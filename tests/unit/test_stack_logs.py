"""Reading a service's log."""

from pathlib import Path

import pytest

from contracts.errors import StackError
from stack.layout import Layout
from stack.service_logs import follow_log, last_words, log_path, tail


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A checkout with one log."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "kafka.log").write_text("one\ntwo\nthree\n\n")
    return Layout(tmp_path)


def test_the_tail_is_the_last_lines(layout: Layout) -> None:
    """As many lines as asked for, in order."""
    assert tail(log_path(layout, "kafka"), 3) == ["two", "three", ""]


def test_an_unknown_log_names_those_there_are(layout: Layout) -> None:
    """A misspelt service is told what exists."""
    with pytest.raises(StackError, match="There are: kafka"):
        log_path(layout, "kafak")


def test_last_words_skip_blank_lines(layout: Layout) -> None:
    """The last line with text on it."""
    assert last_words(layout, "kafka") == "three"


def test_following_goes_on_after_a_rotation(layout: Layout) -> None:
    """Lines written later are shown, also when the file starts anew."""
    path = log_path(layout, "kafka")
    lines = follow_log(path, pause_seconds=0.0, position=path.stat().st_size)
    with path.open("a") as log:
        log.write("four\n")
    assert next(lines) == "four"
    path.write_text("five\n")
    assert next(lines) == "five"
