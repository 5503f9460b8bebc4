"""Finding and ending what belongs to a checkout."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from stack.bring_down import bring_down_strays
from stack.layout import Layout
from stack.processes import MARKER, end_all, memory_bytes, strays

SLEEPER = [sys.executable, "-c", "print(flush=True); import time; time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "print(flush=True); time.sleep(600)",
]


@contextmanager
def process(command: list[str], marker: Path, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that carries a checkout's marker, awaited until it runs."""
    child = subprocess.Popen(command, env={MARKER: str(marker)}, cwd=folder, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        child.stdout.readline()
        yield child
    finally:
        child.kill()
        child.wait()


def test_only_processes_of_this_checkout_are_strays(tmp_path: Path) -> None:
    """A process of another checkout is left alone."""
    mine, other = tmp_path / "mine", tmp_path / "other"
    with process(SLEEPER, mine, tmp_path) as a, process(SLEEPER, other, tmp_path):
        assert [stray.pid for stray in strays(Layout(mine))] == [a.pid]


def test_a_process_in_the_data_folder_is_ours_without_a_marker(tmp_path: Path) -> None:
    """Servers that overwrite their environment are known by where they work."""
    data = Layout(tmp_path).data("postgres")
    data.mkdir(parents=True)
    with process(SLEEPER, Path("/nowhere"), data) as child:
        assert [stray.pid for stray in strays(Layout(tmp_path))] == [child.pid]


def test_down_ends_strays_when_no_supervisor_runs(tmp_path: Path) -> None:
    """After the supervisor was killed, `down` still leaves no process."""
    with process(SLEEPER, tmp_path, tmp_path), process(SLEEPER, tmp_path, tmp_path):
        bring_down_strays(Layout(tmp_path), wipe=False)
        assert strays(Layout(tmp_path)) == []


def test_a_process_that_ignores_the_request_is_killed(tmp_path: Path) -> None:
    """What does not end within the grace period is ended without asking."""
    with process(STUBBORN, tmp_path, tmp_path) as child:
        end_all([psutil.Process(child.pid)], grace_seconds=0.2)
        assert strays(Layout(tmp_path)) == []


def test_wiping_keeps_the_fetched_jars(tmp_path: Path) -> None:
    """`down --wipe` forgets data, logs and secrets, but nothing has to be fetched again."""
    layout = Layout(tmp_path)
    for folder in (layout.data("kafka"), layout.jars / "kafka", layout.logs):
        folder.mkdir(parents=True)
    layout.local_env.write_text("DB_PASSWORD=x\n")
    bring_down_strays(layout, wipe=True)
    assert {path.name for path in layout.state.iterdir()} == {"jars", "lock"}
    assert not layout.logs.exists()


def test_memory_counts_the_whole_tree(tmp_path: Path) -> None:
    """A service's memory includes its children; a process that has gone has none."""
    with process(SLEEPER, tmp_path, tmp_path) as child:
        assert memory_bytes(child.pid) > 1_000_000
    assert memory_bytes(child.pid) == 0
    assert not psutil.pid_exists(child.pid)
