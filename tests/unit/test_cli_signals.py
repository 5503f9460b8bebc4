"""How a long-running command hears that it is to end."""

import signal
import subprocess
import sys

import pytest

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
