"""Steps run in order of their needs, and at once where they may."""

import threading
from dataclasses import dataclass, field

import pytest

from contracts.errors import StackError
from stack.steps import Control, Step, run_steps


@dataclass
class Diary:
    """Writes down what it hears."""

    events: list[str] = field(default_factory=list)

    def started(self, step: str) -> None:
        """A step began."""
        self.events.append(f"+{step}")

    def said(self, step: str, message: str) -> None:
        """A step spoke."""
        self.events.append(f"{step}: {message}")

    def finished(self, step: str) -> None:
        """A step is done."""
        self.events.append(f"-{step}")

    def tick(self) -> None:
        """Time has passed."""


def quick(control: Control) -> None:
    """Work that is done at once."""


def test_a_step_starts_after_what_it_needs() -> None:
    """Whatever the order of the list, needs come first."""
    diary = Diary()
    run_steps([Step("b", ("a",), quick), Step("c", ("b",), quick), Step("a", (), quick)], diary)
    assert diary.events == ["+a", "-a", "+b", "-b", "+c", "-c"]


def test_independent_steps_run_at_once() -> None:
    """Two steps that wait for each other's start both end."""
    meeting = threading.Barrier(2, timeout=10)
    steps = [Step(name, (), lambda control: meeting.wait() and None) for name in "ab"]
    run_steps(steps, Diary())


def test_a_failure_stops_the_others_and_starts_nothing_more() -> None:
    """The first error is raised, running steps learn that they are cancelled, later ones wait."""
    begun, seen = threading.Event(), list[bool]()

    def patient(control: Control) -> None:
        begun.set()
        while not control.cancelled():
            threading.Event().wait(0.01)
        seen.append(True)

    def failing(control: Control) -> None:
        begun.wait(10)
        raise StackError("broken")

    diary = Diary()
    steps = [Step("p", (), patient), Step("f", (), failing), Step("later", ("f",), quick)]
    with pytest.raises(StackError, match="broken"):
        run_steps(steps, diary)
    assert seen == [True]
    assert "+later" not in diary.events


def test_steps_that_wait_for_each_other_are_refused() -> None:
    """A circle is an error, not a wait for ever."""
    with pytest.raises(StackError, match="wait for each other"):
        run_steps([Step("a", ("b",), quick), Step("b", ("a",), quick)], Diary())


def test_a_step_can_speak() -> None:
    """What a step says reaches the reporter under its name."""
    diary = Diary()
    run_steps([Step("a", (), lambda control: control.say("half way"))], diary)
    assert "a: half way" in diary.events
