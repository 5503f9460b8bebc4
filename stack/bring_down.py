"""`down`: services end in reverse order of dependency, then the supervisor, then any stray."""

import shutil
import time
from collections.abc import Callable

from stack.interrupts import uninterrupted
from stack.layout import Layout
from stack.locking import exclusive
from stack.processes import end_all, has_supervisor, strays
from stack.service import Context
from stack.supervision import Supervisor, UnreachableError, connect

LEVELS: tuple[tuple[str, ...], ...] = (
    ("producer", "stream", "tiles"),
    ("airflow-triggerer", "airflow-dag-processor", "airflow-scheduler", "airflow-api-server"),
    ("mlflow", "kafka", "redis"),
    ("postgres", "objectstore"),
)
"""What uses others ends before them."""

LEVEL_SECONDS = 25.0
SUPERVISOR_SECONDS = 5.0


def quiet(message: str) -> None:
    """Say nothing."""


def bring_down(context: Context, *, wipe: bool, say: Callable[[str], None] = quiet) -> None:
    """End every process of the checkout; with `wipe`, remove its data, logs and secrets too."""
    with exclusive(context.layout), uninterrupted():
        end_everything(context, say)
        if wipe:
            remove_data(context.layout, say)


def bring_down_strays(layout: Layout, *, wipe: bool, say: Callable[[str], None] = quiet) -> None:
    """The same without settings, for when they are wrong: by the processes' marker alone."""
    with exclusive(layout), uninterrupted():
        end_strays(layout, say)
        if wipe:
            remove_data(layout, say)


def end_everything(context: Context, say: Callable[[str], None] = quiet) -> None:
    """End services in order, then the supervisor, then whatever carries the checkout's marker."""
    supervisor = connect(context)
    try:
        for level in LEVELS:
            stop_services(supervisor, level, say)
        supervisor.shut_down()
        _await_supervisor_end(context.layout)
    except UnreachableError:
        say("the supervisor does not run")
    end_strays(context.layout, say)


def end_strays(layout: Layout, say: Callable[[str], None]) -> None:
    """End every process that carries the checkout's marker, and what they start meanwhile."""
    while remaining := strays(layout):
        say(f"ending {len(remaining)} stray processes")
        end_all(remaining)


def _await_supervisor_end(layout: Layout) -> None:
    deadline = time.monotonic() + SUPERVISOR_SECONDS
    while has_supervisor(strays(layout)) and time.monotonic() < deadline:
        time.sleep(0.1)


def stop_services(
    supervisor: Supervisor, names: tuple[str, ...], say: Callable[[str], None]
) -> None:
    """End the services at once and wait until they have ended."""
    running = _running(supervisor, names)
    for name in running:
        supervisor.stop(name)
    deadline = time.monotonic() + LEVEL_SECONDS
    while running and time.monotonic() < deadline:
        say(f"ending {', '.join(running)}")
        time.sleep(0.1)
        running = _running(supervisor, running)


def _running(supervisor: Supervisor, names: tuple[str, ...]) -> tuple[str, ...]:
    states = supervisor.processes()
    return tuple(name for name in names if name in states and states[name].pid)


def remove_data(layout: Layout, say: Callable[[str], None]) -> None:
    """Forget everything but the fetched jars."""
    say("removing data")
    for path in (layout.state / "data", layout.run, layout.airflow_home, layout.logs):
        shutil.rmtree(path, ignore_errors=True)
    layout.local_env.unlink(missing_ok=True)
