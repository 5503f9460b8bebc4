"""One at a time, and what a disk that refuses is told as."""

from pathlib import Path

import pytest

from cli.live.stack_control import sole_demo
from contracts.errors import StackError
from stack.layout import Layout
from stack.locking import exclusive


def test_one_command_at_a_time_works_on_a_checkout(tmp_path: Path) -> None:
    """The second one is refused while the first holds the lock, and not afterwards."""
    layout = Layout(tmp_path)
    refused = pytest.raises(StackError, match="at work in this checkout")
    with exclusive(layout), refused, exclusive(layout):
        pass
    with exclusive(layout):
        pass


def test_a_second_demo_is_refused_beside_the_first(tmp_path: Path) -> None:
    """It would end the first one's services."""
    refused = pytest.raises(StackError, match="another demo")
    with sole_demo(tmp_path), refused, sole_demo(tmp_path):
        pass


def test_a_disk_that_refuses_is_one_message(tmp_path: Path) -> None:
    """A checkout that cannot be written is named, before and inside the lock."""
    (tmp_path / ".fraud").write_text("a file where the folder should be")
    with pytest.raises(StackError, match=r"the disk refused.*\.fraud"), exclusive(Layout(tmp_path)):
        pass
    (tmp_path / ".fraud").unlink()
    told = pytest.raises(StackError, match="the disk refused: No space left")
    with told, exclusive(Layout(tmp_path)):
        raise OSError(28, "No space left on device")
