"""A termination request ends a command as Ctrl-C does, so that it tidies up."""

import signal
from types import FrameType


def terminate_as_interrupt() -> None:
    """From now on SIGTERM and SIGHUP raise `KeyboardInterrupt` in the main thread."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
