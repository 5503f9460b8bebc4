"""A publishing run tells how far and how fast it is, on a terminal and in a log."""

import io
from collections.abc import Callable

from rich.console import Console

from producer.progress import Bar, Lines, RunView, Surface
from producer.run import Status

DAY_US = 86_400_000_000


def status(transactions: int, done_days: float, total_days: int | None = 40) -> Status:
    """How far a run is; world day 0 is 2026-01-01."""
    world_us = 1_767_225_600_000_000 + int(done_days * DAY_US)
    return Status(transactions, 0, 0, world_us, done_days, total_days)


class Shown:
    """A surface that remembers what it was told."""

    every_seconds = 3.0

    def __init__(self) -> None:
        self.rates: list[tuple[int, float]] = []

    def show(self, status: Status, per_second: float) -> None:
        """See `producer.progress.Surface`."""
        self.rates.append((status.transactions, per_second))

    def close(self) -> None:
        """Nothing to tidy."""


class Clock:
    """A clock that the test moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_rate_is_of_the_time_since_the_last_line() -> None:
    """Not every update is shown, and each line counts what went out since the one before it."""
    surface, clock = Shown(), Clock()
    view = RunView(surface, clock)
    for seconds, sent in ((1.0, 500), (3.0, 3_000), (5.0, 4_000), (8.0, 13_000)):
        clock.now = 100.0 + seconds
        view.update(status(sent, 1.0))
    assert surface.rates == [(3_000, 1_000.0), (13_000, 2_000.0)]


def shown(make: Callable[[Console], Surface], told: Status, *, is_terminal: bool) -> str:
    """What a surface prints of one status."""
    text = io.StringIO()
    surface = make(Console(file=text, force_terminal=is_terminal, width=120))
    surface.show(told, 2_345.6)
    surface.close()
    return text.getvalue()


def test_a_log_gets_a_line_with_world_time_share_count_and_rate() -> None:
    """A run with an end says how much of it is done; one without says only where it is."""
    line = shown(Lines, status(12_345, 10.5), is_terminal=False)
    assert line == ("world time 2026-01-11 12:00, day 10.5 of 40, 12,345 transactions, 2,346/s\n")
    assert "day 10.5, " in shown(Lines, status(12_345, 10.5, None), is_terminal=False)


def test_a_terminal_gets_a_bar() -> None:
    """The bar shows the world's date, the share that is done, count and rate."""
    bar = shown(Bar, status(12_345, 10.0), is_terminal=True)
    assert all(part in bar for part in ("World 2026-01-11 00:00", "25%", "12,345 transactions"))
    assert "2,346/s" in bar
