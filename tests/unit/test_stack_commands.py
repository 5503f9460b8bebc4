"""Short-lived commands: their failure in one sentence, their end when cancelled."""

import sys
import time
from pathlib import Path

import psutil
import pytest

from contracts.errors import StackError
from stack.commands import run_command


def python(code: str) -> list[str]:
    """A command that runs `code`."""
    return [sys.executable, "-c", code]


def has_ended(pid: int, within_seconds: float = 10.0) -> bool:
    """Whether a process is gone, or dead and only not yet collected, before the deadline."""
    deadline = time.monotonic() + within_seconds
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def test_a_failure_tells_the_last_line_and_the_log(tmp_path: Path) -> None:
    """The command's own last words are the cause; its whole output is in the log."""
    log = tmp_path / "logs" / "x.log"
    code = "print('first'); print('no space left'); raise SystemExit(3)"
    with pytest.raises(StackError, match=r"formatting failed: no space left .*x\.log.*try again"):
        run_command(python(code), doing="formatting", log=log, remedy="try again")
    assert log.read_text().splitlines() == ["first", "no space left"]


def test_a_missing_command_is_told(tmp_path: Path) -> None:
    """A command that is not there is one sentence."""
    with pytest.raises(StackError, match="would not start: No such file"):
        run_command(["/no/such"], doing="x", log=tmp_path / "log", remedy="")


def test_cancelling_ends_the_command_and_its_children(tmp_path: Path) -> None:
    """A cancelled command leaves no process, not even a grandchild."""
    pid_file = tmp_path / "pid"
    code = (
        "import subprocess, sys, time; "
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
        f"open({str(pid_file)!r}, 'w').write(str(p.pid)); time.sleep(600)"
    )
    with pytest.raises(StackError, match="was stopped"):
        run_command(
            python(code),
            doing="waiting",
            log=tmp_path / "log",
            remedy="",
            cancelled=lambda: pid_file.exists() and bool(pid_file.read_text()),
        )
    assert has_ended(int(pid_file.read_text()))


def test_the_environment_is_added_to_ours(tmp_path: Path) -> None:
    """Variables given reach the command beside the inherited ones."""
    log = tmp_path / "log"
    code = "import os; print(os.environ['ADDED'], 'PATH' in os.environ)"
    run_command(python(code), doing="x", log=log, remedy="", environment={"ADDED": "yes"})
    assert log.read_text() == "yes True\n"
