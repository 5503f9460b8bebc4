"""The demo's key: train a challenger, promote it, and time its first decision."""

import os
import pty
import threading
import time
from pathlib import Path

from cli.live.challenge import Challenge, Stage, Steps
from cli.live.keys import Keys
from contracts.errors import RegistryError


class Platform:
    """Steps that a test lets go on, and what was asked of them."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.may_go_on = threading.Event()
        self.promoted: list[str] = []
        self._failure = failure

    def train(self) -> str:
        """Waits for the test, then fails or gives version 2."""
        assert self.may_go_on.wait(10)
        if self._failure is not None:
            raise self._failure
        return "2"

    def steps(self) -> Steps:
        """As the challenge takes them."""
        return Steps(self.train, self.promoted.append)


def await_stage(challenge: Challenge, stage: Stage) -> None:
    """Wait until the challenge's thread has got there."""
    deadline = time.monotonic() + 10
    while challenge.stage is not stage:
        assert time.monotonic() < deadline, challenge.words
        time.sleep(0.001)


def test_two_presses_train_and_promote_and_the_first_decision_is_timed() -> None:
    """A press while it trains does nothing; only the promoted version ends the watch."""
    now = [0.0]
    platform = Platform()
    challenge = Challenge(platform.steps(), clock=lambda: now[0])
    assert challenge.words == "press p: train a challenger"
    challenge.press()
    challenge.press()
    assert challenge.stage is Stage.TRAINING
    platform.may_go_on.set()
    await_stage(challenge, Stage.READY)
    assert challenge.words == "press p: promote the challenger, v2"
    assert not challenge.saw("2")
    challenge.press()
    now[0] = 1.5
    assert not challenge.saw("1")
    assert challenge.saw("2")
    assert challenge.words == "v2 decided 1.5 s after p; press p: train a challenger"
    assert platform.promoted == ["2"]


def test_a_failed_step_is_told_and_the_key_works_again() -> None:
    """The reason stands below the view; nothing was promoted."""
    platform = Platform(RegistryError("MLflow does not answer"))
    challenge = Challenge(platform.steps())
    challenge.press()
    platform.may_go_on.set()
    await_stage(challenge, Stage.IDLE)
    assert challenge.words == "no promotion: MLflow does not answer; press p: train a challenger"
    assert platform.promoted == []


def test_keys_come_one_at_a_time_without_enter() -> None:
    """Nothing is waited for; the terminal is left as it was."""
    controller, terminal = pty.openpty()
    with os.fdopen(terminal, buffering=1) as stdin, Keys(stdin) as keys:
        assert keys.pressed() == ""
        os.write(controller, b"p")
        deadline = time.monotonic() + 10
        while (key := keys.pressed()) == "":
            assert time.monotonic() < deadline
        assert key == "p"
    os.close(controller)


def test_without_a_terminal_there_are_no_keys() -> None:
    """A demo in a pipe or in CI is never asked."""
    with Path(os.devnull).open() as stdin, Keys(stdin) as keys:
        assert not keys.can_be_pressed
        assert keys.pressed() == ""
