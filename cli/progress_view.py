"""Progress of steps: a live list in a terminal, one line per event elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table

HEARTBEAT_SECONDS = 3.0


class StepProgress:
    """Hears the steps and shows them; never silent longer than the heartbeat."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._begun = time.monotonic()
        self._spoken = self._begun
        self._running: dict[str, tuple[float, str]] = {}
        self._finished: dict[str, float] = {}

    @property
    def seconds(self) -> float:
        """Since it was made."""
        return time.monotonic() - self._begun

    def started(self, step: str) -> None:
        """A step began."""
        self._running[step] = (self.seconds, "")

    def said(self, step: str, message: str) -> None:
        """A step tells what it waits for."""
        if step in self._running:
            self._running[step] = (self._running[step][0], message)

    def finished(self, step: str) -> None:
        """A step is done."""
        begun, _ = self._running.pop(step)
        self._finished[step] = self.seconds - begun
        if not self._console.is_terminal:
            self._print(f"{self.seconds:5.1f} s  {step} ready")

    def tick(self) -> None:
        """Outside a terminal, tell what is awaited if nothing was printed for a while."""
        quiet = time.monotonic() - self._spoken
        if not self._console.is_terminal and quiet >= HEARTBEAT_SECONDS:
            self._print(f"{self.seconds:5.1f} s  waiting for {', '.join(self._running)}")

    def _print(self, line: str) -> None:
        self._console.print(line, highlight=False, soft_wrap=True)
        self._spoken = time.monotonic()

    def __rich__(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for step, took in dict(self._finished).items():
            table.add_row("[green]ok[/]", step, f"{took:.1f} s", "")
        for step, (begun, message) in dict(self._running).items():
            table.add_row(Spinner("dots"), step, f"{self.seconds - begun:.0f} s", message[:70])
        return table


@contextmanager
def step_reporter() -> Iterator[StepProgress]:
    """A reporter that is live while the block runs."""
    console = Console()
    progress = StepProgress(console)
    if not console.is_terminal:
        yield progress
        return
    with Live(progress, console=console, refresh_per_second=8):
        yield progress
