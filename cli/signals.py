"""A termination request ends a command as Ctrl-C does, so that it tidies up."""

import signal
import threading
from types import FrameType


def terminate_as_interrupt() -> None:
    """From now on SIGTERM and SIGHUP raise `KeyboardInterrupt` in the main thread."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and Ctrl-C set, so that work ends in order."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
