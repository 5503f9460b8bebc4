"""Waiting behind a health gate, on a clock that the test moves."""

from dataclasses import dataclass, field

import pytest

from contracts.errors import StackError
from stack.waiting import NotReady, wait_until_ready


@dataclass
class Clock:
    """Time that passes only while somebody pauses."""

    now: float = 0.0

    def read(self) -> float:
        """The time now, in seconds."""
        return self.now

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


@dataclass
class Gate:
    """Refuses with the answers given, then lets pass."""

    answers: list[str] = field(default_factory=list)

    def __call__(self) -> None:
        """One question."""
        if self.answers:
            raise NotReady(self.answers.pop(0))


def test_the_wait_ends_when_the_gate_passes() -> None:
    """After two refusals the third answer ends the wait; each refusal was told."""
    clock, heard = Clock(), list[str]()
    gate = Gate(["connection refused", "starting"])
    wait_until_ready(
        "kafka", gate, timeout_seconds=5, say=heard.append, clock=clock.read, pause=clock.pause
    )
    assert heard == ["connection refused", "starting"]


def test_the_deadline_names_the_last_answer() -> None:
    """A gate that never passes ends in an error with its last answer and where to look."""
    clock = Clock()
    with pytest.raises(StackError, match=r"after 5 s: no metadata.*fraud logs kafka"):
        wait_until_ready(
            "kafka",
            Gate(["no metadata"] * 1000),
            timeout_seconds=5,
            clock=clock.read,
            pause=clock.pause,
        )
    assert 5 <= clock.now < 6


def test_a_cancelled_wait_ends_at_once() -> None:
    """Cancelling does not wait for the deadline."""
    clock = Clock()
    with pytest.raises(StackError, match="stopped"):
        wait_until_ready(
            "kafka",
            Gate(["no"] * 1000),
            timeout_seconds=1000,
            cancelled=lambda: True,
            clock=clock.read,
            pause=clock.pause,
        )
    assert clock.now < 1


def test_a_hopeless_answer_is_not_waited_out() -> None:
    """An error that is not `NotReady` ends the wait."""

    def hopeless() -> None:
        raise StackError("another password")

    with pytest.raises(StackError, match="another password"):
        wait_until_ready("postgres", hopeless, timeout_seconds=1000)
