"""Steps that wait for each other, run at once as soon as what they need is done."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Protocol

from contracts.errors import StackError

TICK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Control:
    """What a running step is given: a way to speak, and to learn that it should stop."""

    say: Callable[[str], None]
    cancelled: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Step:
    """A piece of work; `needs` names the steps before it."""

    name: str
    needs: tuple[str, ...]
    run: Callable[[Control], None]


class Reporter(Protocol):
    """Hears what the steps do; `tick` comes at least twice a second."""

    def started(self, step: str) -> None:
        """A step began."""

    def said(self, step: str, message: str) -> None:
        """A step tells what it waits for; comes from the step's own thread."""

    def finished(self, step: str) -> None:
        """A step is done."""

    def tick(self) -> None:
        """Time has passed."""


def run_steps(steps: Iterable[Step], reporter: Reporter) -> None:
    """Run all steps, each when its needs are done; the first failure stops the others.

    Raises:
        StackError: a step failed, or the needs form a circle.
    """
    cancelled = threading.Event()
    waiting = {step.name: step for step in steps}
    running: dict[Future[None], str] = {}
    done: set[str] = set()
    with ThreadPoolExecutor(max_workers=max(1, len(waiting))) as pool:
        try:
            while waiting or running:
                _submit_ready(waiting, running, done, pool, reporter, cancelled)
                _collect(running, done, reporter)
        finally:
            # Reached by a failure or by Ctrl-C too: the pool's exit waits for steps to notice.
            cancelled.set()


def _submit_ready(
    waiting: dict[str, Step],
    running: dict[Future[None], str],
    done: set[str],
    pool: ThreadPoolExecutor,
    reporter: Reporter,
    cancelled: threading.Event,
) -> None:
    ready = [step for step in waiting.values() if done.issuperset(step.needs)]
    if not ready and not running:
        raise StackError("these steps wait for each other", value=sorted(waiting))
    for step in ready:
        del waiting[step.name]
        reporter.started(step.name)
        running[pool.submit(step.run, _control(step.name, reporter, cancelled))] = step.name


def _control(name: str, reporter: Reporter, cancelled: threading.Event) -> Control:
    return Control(lambda message: reporter.said(name, message), cancelled.is_set)


def _collect(running: dict[Future[None], str], done: set[str], reporter: Reporter) -> None:
    finished, _ = wait(running, timeout=TICK_SECONDS, return_when=FIRST_COMPLETED)
    reporter.tick()
    for future in finished:
        name = running.pop(future)
        future.result()
        done.add(name)
        reporter.finished(name)
