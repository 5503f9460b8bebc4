"""One publisher of the world per checkout: two at once would repeat each other's records."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contracts.errors import StackError


@contextmanager
def sole_publisher(path: Path) -> Iterator[None]:
    """Hold the lock file at `path`; the system releases it however the process ends.

    Raises:
        StackError: another process publishes; names its process id.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            handle.seek(0)
            raise StackError(
                "another producer is publishing this world",
                value=f"process {handle.read().strip() or 'unknown'}",
                remedy="Stop it first, for instance with `fraud status` and `fraud down`",
            ) from error
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield
