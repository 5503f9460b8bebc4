"""How a long-running command hears that it is to end."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from cli.signals import INTERRUPTING, noted_interrupts, terminate_as_interrupt

WAITING = """
import time
from cli.signals import stop_on_signals

stop = stop_on_signals()
with stop._cond:  # as inside `stop.wait`, for longer
    print("holding the lock", flush=True)
    time.sleep(0.5)
stop.wait()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_comes_in_the_middle_of_a_wait_ends_it(number: signal.Signals) -> None:
    """Even while the main thread holds the event's own lock."""
    command = [sys.executable, "-c", WAITING]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holding the lock\n"
        process.send_signal(number)
        try:
            assert process.wait(10) == 0
        finally:
            process.kill()


@pytest.fixture
def handlers() -> Iterator[None]:
    """Ctrl-C and termination raise, as in a command; afterwards all is as it was."""
    before = {number: signal.getsignal(number) for number in INTERRUPTING}
    terminate_as_interrupt()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("number", INTERRUPTING)
def test_an_interrupt_does_not_cut_a_step_in_two(number: signal.Signals) -> None:
    """It is noted and the step goes on; a second one is raised, as any after the block."""
    with noted_interrupts() as noted:
        assert not noted.has_come
        os.kill(os.getpid(), number)
        assert noted.has_come
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)
