"""One `up` or `down` at a time per checkout."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from contracts.errors import StackError
from stack.layout import Layout


@contextmanager
def exclusive(layout: Layout) -> Iterator[None]:
    """Hold the checkout's lock; the system frees it when the holder dies.

    Raises:
        StackError: another command holds it.
    """
    layout.state.mkdir(parents=True, exist_ok=True)
    with (layout.state / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StackError(
                "another `fraud up` or `fraud down` is at work in this checkout",
                remedy="Wait until it ends",
            ) from error
        yield
