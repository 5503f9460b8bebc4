"""Runs `fraud stream …` as a process group that a test may kill."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

EARLIEST = '{"0": 0, "1": 0, "2": 0, "3": 0}'


@contextmanager
def stream(home: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """`fraud stream …` on a home, stopped at the end."""
    command = [str(Path(sys.executable).parent / "fraud"), "stream", *options]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("FRAUD_")
    } | {"FRAUD_HOME": str(home)}
    with (home / "stream.log").open("ab") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env=environment, start_new_session=True
        )
        try:
            yield process
        finally:
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask for a stop, then kill whatever is left of the group."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(30)
    kill_group(process)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill -9 of driver, JVM and Python workers at once."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(120)
