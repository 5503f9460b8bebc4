"""One `up` or `down` at a time per checkout, and other things that only one may do."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contracts.errors import StackError
from stack.layout import Layout


@contextmanager
def exclusive(layout: Layout) -> Iterator[None]:
    """Hold the checkout's lock.

    Raises:
        StackError: another command holds it, or the disk refuses.
    """
    doing = "another `fraud up` or `fraud down` is at work in this checkout"
    with disk_trouble_told(layout.root), held(layout.state / "lock", doing):
        yield


@contextmanager
def held(path: Path, doing: str) -> Iterator[None]:
    """Hold a lock file; the system frees it when the holder dies.

    Raises:
        StackError: somebody else holds it, and is `doing` what it is for.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StackError(doing, value=str(path), remedy="Wait until it ends") from error
        yield


@contextmanager
def disk_trouble_told(root: Path) -> Iterator[None]:
    """A full or read-only disk is a known problem, not a crash.

    Raises:
        StackError: in place of an `OSError` of the file system.
    """
    try:
        yield
    except OSError as error:
        raise StackError(
            f"the disk refused: {error.strerror or error}",
            value=str(error.filename or root),
            remedy="Make room, or check who owns the checkout's files; then run the command again",
        ) from error
