"""A termination request ends a command as Ctrl-C does, so that it tidies up."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOPPING = (signal.SIGTERM, signal.SIGINT)
INTERRUPTING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def terminate_as_interrupt() -> None:
    """From now on SIGTERM and SIGHUP raise `KeyboardInterrupt` in the main thread."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


class Noted:
    """Whether an interrupt has come."""

    has_come = False


@contextmanager
def noted_interrupts() -> Iterator[Noted]:
    """For the length of the block an interrupt is only noted, for a loop that looks between steps.

    Raised in the middle of one, it would lose what the step has taken already: Kafka's client drops
    the records that it was about to hand over. A second one is raised.
    """
    noted = Noted()
    before = {number: signal.getsignal(number) for number in INTERRUPTING}

    def note(number: int, frame: FrameType | None) -> None:
        if noted.has_come:
            raise KeyboardInterrupt
        noted.has_come = True

    try:
        for number in INTERRUPTING:
            signal.signal(number, note)
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and Ctrl-C set, so that work ends in order; call it once.

    A handler that set the event itself would run inside the main thread's `wait` now and then, and
    wait for a lock that this very thread holds. So the interpreter only writes the signal's number
    to a pipe, and a thread of its own sets the event.
    """
    stop = threading.Event()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in STOPPING:
        signal.signal(number, lambda *_: None)
    threading.Thread(target=_set_when_told, args=(reader, stop), daemon=True).start()
    return stop


def _set_when_told(reader: int, stop: threading.Event) -> None:
    while not set(os.read(reader, 64)) & set(STOPPING):
        pass
    stop.set()
