"""What the demo asks of the local stack."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from contracts.errors import StackError
from contracts.stream_env import write_stream_env
from stack.bring_down import bring_down, stop_services
from stack.bring_up import bring_up, open_context
from stack.locking import held
from stack.processes import memory_bytes, strays
from stack.supervision import connect

Report = Callable[[str], None]


class PhaseReporter:
    """Tells a phase which steps are running."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._running: list[str] = []

    def started(self, step: str) -> None:
        """A step began."""
        self._running.append(step)
        self._tell()

    def said(self, step: str, message: str) -> None:
        """A step tells what it waits for."""

    def finished(self, step: str) -> None:
        """A step is done."""
        self._running.remove(step)
        self._tell()

    def tick(self) -> None:
        """Time has passed; the phase shows it by itself."""

    def _tell(self) -> None:
        self._report(", ".join(self._running[:4]))


def sole_demo(root: Path) -> AbstractContextManager[None]:
    """Held for a demo's length: a second one would stop the first one's services.

    Raises:
        StackError: another demo runs in this checkout.
    """
    return held(root / ".fraud" / "demo.lock", "another demo runs in this checkout")


def prepare_data(root: Path, data: str, *, fresh: bool) -> None:
    """Refuse to mix two worlds in one topic; `fresh` forgets what is there.

    Raises:
        StackError: the checkout holds another demo's data.
    """
    marker = root / ".fraud" / "data" / "demo.json"
    if fresh:
        bring_down(open_context(root), wipe=True)
    held = json.loads(marker.read_text())["data"] if marker.exists() else data
    if held != data:
        raise StackError(
            f"this checkout holds the data of the {held!r} demo",
            value=data,
            remedy="Add --fresh to forget it, or use a second clone with FRAUD_PORT_OFFSET=1000",
        )
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.write_text(json.dumps({"data": data}), encoding="utf-8")


def start_stack(root: Path, report: Report) -> None:
    """Start what does not run; returns when every service is healthy."""
    bring_up(root, PhaseReporter(report))


def stop_stack(root: Path, report: Report) -> None:
    """End every process of this checkout."""
    bring_down(open_context(root), wipe=False, say=report)


def start_service(root: Path, name: str) -> None:
    """Start a service that runs on demand."""
    connect(open_context(root)).start(name)


def warm_up_stream(root: Path) -> None:
    """Start the stream ahead of its first champion: it folds the past and waits."""
    write_stream_env(root, {"STREAM_STARTING": "champion"})
    start_service(root, "stream")


def stop_service(root: Path, name: str) -> None:
    """End a service that runs on demand and wait until it has ended."""
    stop_services(connect(open_context(root)), (name,), lambda message: None)


def memory_mb(root: Path) -> float:
    """Proportional memory of all processes of this checkout's stack, in MB."""
    roots = strays(open_context(root).layout)
    ids = {process.pid for process in roots}
    tops = [process for process in roots if process.ppid() not in ids]
    return round(sum(memory_bytes(process.pid) for process in tops) / 1e6, 0)
