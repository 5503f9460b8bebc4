"""Reading a service's log, also while it is rotated."""

import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from contracts.errors import StackError
from stack.layout import Layout


def log_path(layout: Layout, service: str) -> Path:
    """Where the service's log is.

    Raises:
        StackError: it has none; names those there are.
    """
    path = layout.logs / f"{service}.log"
    if not path.is_file():
        known = ", ".join(sorted(found.stem for found in layout.logs.glob("*.log")))
        raise StackError(
            "no log of that service", value=service, remedy=f"There are: {known or 'none yet'}"
        )
    return path


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a file."""
    with path.open(encoding="utf-8", errors="replace") as file:
        return [line.rstrip("\n") for line in deque(file, maxlen=lines)]


def last_words(layout: Layout, service: str) -> str:
    """The last line that a service wrote."""
    lines = [line.strip() for line in tail(log_path(layout, service), 20)]
    return next((line for line in reversed(lines) if line), "nothing was written")


def follow_log(path: Path, *, position: int, pause_seconds: float = 0.2) -> Iterator[str]:
    """Lines written after `position`, in bytes; goes on with the new file after a rotation."""
    while True:
        size = path.stat().st_size if path.exists() else 0
        position = 0 if size < position else position
        if size > position:
            with path.open(encoding="utf-8", errors="replace") as file:
                file.seek(position)
                yield from file.read().splitlines()
                position = file.tell()
        time.sleep(pause_seconds)
