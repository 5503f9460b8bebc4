"""The demo's phases with elapsed time and time left, on a terminal and in a log alike.

On a terminal the running phase is one moving line. Elsewhere (a pipe, CI) it is a plain line every
four seconds, so that nothing is ever silent for more than five.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

LINE_EVERY_SECONDS = 4.0


class Phase:
    """One running phase; whoever works in it reports a detail and, if known, a fraction."""

    def __init__(self, name: str, expected_seconds: float) -> None:
        self.name = name
        self.detail = ""
        self.fraction: float | None = None
        self._expected_seconds = expected_seconds
        self._started = time.monotonic()

    def update(self, detail: str, fraction: float | None = None) -> None:
        """Say what happens now, and how much of the phase is done (0 to 1)."""
        self.detail = detail
        self.fraction = fraction if fraction is not None else self.fraction

    @property
    def elapsed_seconds(self) -> float:
        """Seconds since the phase began."""
        return time.monotonic() - self._started

    def line(self) -> str:
        """The phase in one line: name, detail, elapsed, left."""
        detail = f"  {self.detail}" if self.detail else ""
        return f"{self.name:<10}{detail}  {self.elapsed_seconds:.0f} s{self._left()}"

    def _left(self) -> str:
        elapsed = self.elapsed_seconds
        if self.fraction is not None and self.fraction > 0.02:
            left = elapsed * (1 - self.fraction) / self.fraction
        else:
            left = self._expected_seconds - elapsed
        return f", about {left:.0f} s left" if left >= 1 else ", longer than usual"


class Phases:
    """Runs phases one after the other and remembers how long each took for the next estimate."""

    def __init__(
        self, console: Console, memory: Path, line_every_seconds: float = LINE_EVERY_SECONDS
    ) -> None:
        self._console = console
        self._line_every_seconds = line_every_seconds
        self._memory = memory
        self.seconds: dict[str, float] = {}
        self._past: dict[str, float] = _read(memory)

    @contextmanager
    def phase(self, name: str, expected_seconds: float) -> Iterator[Phase]:
        """Show a phase while the block runs; a failed one leaves a cross and is not remembered."""
        phase = Phase(name, self._past.get(name, expected_seconds))
        self._console.print(f"[bold]▸ {name}[/]", highlight=False)
        try:
            with self._shown(phase):
                yield phase
        except BaseException:  # Ctrl-C too must show that the phase did not end well
            self._finish(phase, "[red]✗[/]")
            raise
        self._finish(phase, "[green]✓[/]")
        self._remember(phase)

    @contextmanager
    def _shown(self, phase: Phase) -> Iterator[None]:
        shown = self._moving(phase) if self._console.is_terminal else self._lines(phase)
        with shown:
            yield

    @contextmanager
    def _moving(self, phase: Phase) -> Iterator[None]:
        spinner = Spinner("dots")

        def render() -> Spinner:
            spinner.update(text=Text(phase.line()))
            return spinner

        live = Live(get_renderable=render, console=self._console, transient=True)
        with live:
            yield

    @contextmanager
    def _lines(self, phase: Phase) -> Iterator[None]:
        done = threading.Event()

        def speak() -> None:
            while not done.wait(self._line_every_seconds):
                self._console.print(f"  {phase.line()}", highlight=False, soft_wrap=True)

        speaker = threading.Thread(target=speak, daemon=True)
        speaker.start()
        try:
            yield
        finally:
            done.set()
            speaker.join()

    def _finish(self, phase: Phase, mark: str) -> None:
        self.seconds[phase.name] = round(phase.elapsed_seconds, 1)
        detail = f"  {phase.detail}" if phase.detail else ""
        line = f"{mark} {phase.name:<10}{detail}  [dim]{phase.elapsed_seconds:.1f} s[/]"
        self._console.print(line, highlight=False, soft_wrap=True)

    def _remember(self, phase: Phase) -> None:
        self._past[phase.name] = phase.elapsed_seconds
        self._memory.parent.mkdir(parents=True, exist_ok=True)
        self._memory.write_text(json.dumps(self._past), encoding="utf-8")


def _read(memory: Path) -> dict[str, float]:
    try:
        past = json.loads(memory.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return {str(name): float(seconds) for name, seconds in past.items()}
