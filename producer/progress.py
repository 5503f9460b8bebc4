"""Shows a publishing run: a bar on a terminal, a line every few seconds in a log."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from producer.run import Status

_LINE_EVERY_SECONDS = 3.0
_BAR_EVERY_SECONDS = 0.1


class Surface(Protocol):
    """Where a run's progress appears."""

    every_seconds: float

    def show(self, status: Status, per_second: float) -> None:
        """Show how far the run is."""

    def close(self) -> None:
        """Nothing more will be shown."""


class RunView:
    """Counts rates and passes a status on now and then; a `producer.run.View`."""

    def __init__(self, surface: Surface, clock: Callable[[], float] = time.monotonic) -> None:
        self._surface = surface
        self._clock = clock
        self._shown_at = self._began_at = clock()
        self._shown_sent = 0

    def update(self, status: Status) -> None:
        """Show `status` if the last one has been up long enough."""
        now = self._clock()
        elapsed = now - self._shown_at
        if elapsed < self._surface.every_seconds:
            return
        self._surface.show(status, (status.transactions - self._shown_sent) / elapsed)
        self._shown_at, self._shown_sent = now, status.transactions

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._surface.close()


class Bar:
    """A progress bar with rate and time left."""

    every_seconds = _BAR_EVERY_SECONDS

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("[progress.description]{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%  {task.fields[detail]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task: TaskID = self._progress.add_task("World", total=None, detail="")
        self._progress.start()

    def show(self, status: Status, per_second: float) -> None:
        """Move the bar."""
        self._progress.update(
            self._task,
            description=f"World {_date(status.world_us)}",
            completed=status.done_days,
            total=status.total_days,
            detail=f"{status.transactions:,} transactions, {per_second:,.0f}/s",
        )

    def close(self) -> None:
        """Remove the bar."""
        self._progress.stop()


class Lines:
    """A line of text at a time, for logs."""

    every_seconds = _LINE_EVERY_SECONDS

    def __init__(self, console: Console) -> None:
        self._console = console

    def show(self, status: Status, per_second: float) -> None:
        """Print a line."""
        share = f"day {status.done_days:.1f}"
        if status.total_days is not None:
            share += f" of {status.total_days}"
        line = f"world time {_date(status.world_us)}, {share}, {status.transactions:,} transactions"
        self._console.print(f"{line}, {per_second:,.0f}/s", highlight=False)

    def close(self) -> None:
        """Nothing to tidy."""


def open_view(console: Console) -> RunView:
    """A bar on a terminal, lines elsewhere."""
    return RunView(Bar(console) if console.is_terminal else Lines(console))


def _date(world_us: int) -> str:
    return datetime.fromtimestamp(world_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M")
