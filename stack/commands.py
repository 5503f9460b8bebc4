"""Short-lived helper commands: stoppable, never silent, their failure told in one sentence."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from contracts.errors import StackError

POLL_SECONDS = 0.05
SAY_EVERY_SECONDS = 3.0


def run_command(
    command: Sequence[str],
    *,
    doing: str,
    log: Path,
    remedy: str,
    environment: Mapping[str, str] | None = None,
    say: Callable[[str], None] = lambda message: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> None:
    """Run a command to its end with its output in `log`.

    Raises:
        StackError: it could not start, failed (its last line is the cause) or was cancelled.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = _start(command, output.fileno(), environment)
        try:
            _wait(process, doing, say, cancelled)
        finally:
            _end(process)
    if process.returncode != 0:
        raise StackError(f"{doing} failed: {_last_line(log)}", value=str(log), remedy=remedy)


def _start(
    command: Sequence[str], output: int, environment: Mapping[str, str] | None
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if environment is None else {**os.environ, **environment},
            start_new_session=True,
        )
    except OSError as error:
        raise StackError(f"{command[0]} would not start: {error.strerror}") from error


def _wait(
    process: subprocess.Popen[bytes],
    doing: str,
    say: Callable[[str], None],
    cancelled: Callable[[], bool],
) -> None:
    started = spoken = time.monotonic()
    while process.poll() is None:
        if cancelled():
            raise StackError(f"{doing} was stopped", remedy="Run the command again")
        now = time.monotonic()
        if now - spoken >= SAY_EVERY_SECONDS:
            say(f"{doing}, {now - started:.0f} s")
            spoken = now
        time.sleep(POLL_SECONDS)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what an interruption left; the command has a session, so a process group, of its own."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else "no output"
