"""Finding, measuring and ending this checkout's processes, supervised or stray."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from stack.layout import Layout

MARKER = "FRAUD_STACK_HOME"
"""Environment variable that every process of the stack inherits; its value is the checkout."""

GRACE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that listens on a port; unknown when it is another user's."""

    pid: int | None
    name: str


def strays(layout: Layout) -> list[psutil.Process]:
    """Live processes of this checkout's stack, but not the caller or its ancestors."""
    spared = {process.pid for process in (psutil.Process(), *psutil.Process().parents())}
    return [p for p in psutil.process_iter() if p.pid not in spared and _belongs(p, layout)]


def _belongs(process: psutil.Process, layout: Layout) -> bool:
    with contextlib.suppress(psutil.Error, OSError):
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        if process.environ().get(MARKER) == str(layout.root):
            return True
    # Postgres's own children overwrite their environment; they live in the data folder.
    with contextlib.suppress(psutil.Error, OSError):
        return Path(process.cwd()).is_relative_to(layout.state / "data")
    return False


def has_supervisor(processes: list[psutil.Process]) -> bool:
    """Whether a supervisor is among them."""
    return any("supervisord" in command_line(process) for process in processes)


def command_line(process: psutil.Process) -> str:
    """The whole command line; empty when the process has gone."""
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline()) or process.name()
    return ""


def end_all(processes: list[psutil.Process], grace_seconds: float = GRACE_SECONDS) -> None:
    """Ask the processes to end, then kill those that don't within the grace period."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, alive = psutil.wait_procs(processes, timeout=grace_seconds)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=GRACE_SECONDS)


def memory_bytes(pid: int) -> int:
    """Proportional memory of a process and all below it; 0 when it has gone."""
    with contextlib.suppress(psutil.Error):
        root = psutil.Process(pid)
        return sum(_own_memory(process) for process in (root, *root.children(recursive=True)))
    return 0


def _own_memory(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.Error):
        full = process.memory_full_info()
        # Linux splits shared pages among their users; elsewhere the unshared part must do.
        return int(getattr(full, "pss", full.uss))
    return 0


def holders(ports: set[int]) -> dict[int, Holder]:
    """Which of the ports are listened on, and by whom."""
    return {port: holder for port, holder in _listeners() if port in ports}


def _listeners() -> Iterator[tuple[int, Holder]]:
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return  # macOS shows them to root only: a taken port is then told by the service itself
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr:
            yield connection.laddr.port, Holder(connection.pid, _name(connection.pid))


def _name(pid: int | None) -> str:
    if pid is None:
        return "another user's process"
    with contextlib.suppress(psutil.Error):
        return command_line(psutil.Process(pid))[:60]
    return "a process that has just ended"
