"""`down`: services end in reverse order of dependency, then the supervisor, then any stray."""

import shutil
import time
from collections.abc import Callable

import psutil

from stack.locking import exclusive
from stack.processes import end_all, has_supervisor, strays
from stack.service import Context
from stack.supervision import Supervisor, UnreachableError, connect

LEVELS: tuple[tuple[str, ...], ...] = (
    ("producer", "tiles", "stream"),
    ("airflow-triggerer", "airflow-dag-processor", "airflow-scheduler", "airflow-api-server"),
    ("mlflow", "kafka", "redis"),
    ("postgres", "objectstore"),
)
"""What uses others ends before them."""

LEVEL_SECONDS = 25.0


def quiet(message: str) -> None:
    """Say nothing."""


def bring_down(context: Context, *, wipe: bool, say: Callable[[str], None] = quiet) -> None:
    """End every process of the checkout; with `wipe`, remove its data, logs and secrets too."""
    with exclusive(context.layout):
        end_everything(context, say)
        if wipe:
            say("removing data")
            _wipe(context)


def end_everything(context: Context, say: Callable[[str], None] = quiet) -> None:
    """End services in order, then the supervisor, then whatever carries the checkout's marker."""
    supervisor = connect(context)
    try:
        for level in LEVELS:
            stop_services(supervisor, level, say)
        supervisor.shut_down()
    except UnreachableError:
        say("the supervisor does not run")
    remaining = _await_end(context)
    if remaining:
        say(f"ending {len(remaining)} stray processes")
        end_all(remaining)


def _await_end(context: Context, timeout_seconds: float = 5.0) -> list[psutil.Process]:
    deadline = time.monotonic() + timeout_seconds
    while remaining := strays(context.layout):
        if time.monotonic() > deadline or not has_supervisor(remaining):
            break
        time.sleep(0.1)
    return remaining


def stop_services(
    supervisor: Supervisor, names: tuple[str, ...], say: Callable[[str], None]
) -> None:
    """End the services at once and wait until they have ended."""
    running = [name for name in names if supervisor.processes()[name].pid]
    for name in running:
        supervisor.stop(name)
    deadline = time.monotonic() + LEVEL_SECONDS
    while running and time.monotonic() < deadline:
        say(f"ending {', '.join(running)}")
        time.sleep(0.1)
        states = supervisor.processes()
        running = [name for name in running if states[name].pid]


def _wipe(context: Context) -> None:
    layout = context.layout
    for path in (layout.state / "data", layout.run, layout.airflow_home, layout.logs):
        shutil.rmtree(path, ignore_errors=True)
    layout.local_env.unlink(missing_ok=True)
