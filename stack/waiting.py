"""Waiting for a service: a check asked again until it passes, with a deadline and a way out."""

import time
from collections.abc import Callable

from contracts.errors import StackError

POLL_SECONDS = 0.2
SLOWEST_POLL_SECONDS = 1.0
"""Asking ten services five times a second takes processor time that they need to start."""
POLL_GROWTH = 1.3


class NotReady(Exception):  # noqa: N818 - a state, reported as an error only after the deadline
    """A service does not answer as it should yet; the text says how."""


def wait_until_ready(
    name: str,
    check: Callable[[], None],
    *,
    timeout_seconds: float,
    cancelled: Callable[[], bool] = lambda: False,
    say: Callable[[str], None] = lambda message: None,
    remedy: str = "",
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Ask `check` until it no longer raises `NotReady`.

    Raises:
        StackError: the deadline passed (the last answer is the cause), or it was cancelled.
    """
    deadline, poll_seconds = clock() + timeout_seconds, POLL_SECONDS
    while True:
        try:
            return check()
        except NotReady as answer:
            reason = str(answer)
        if cancelled():
            raise StackError(f"waiting for {name} was stopped", remedy="Run `fraud up` again")
        if clock() >= deadline:
            raise StackError(
                f"{name} is not healthy after {timeout_seconds:.0f} s: {reason}",
                remedy=remedy or f"See `fraud logs {name}`",
            )
        say(reason)
        pause(poll_seconds)
        poll_seconds = min(poll_seconds * POLL_GROWTH, SLOWEST_POLL_SECONDS)
