"""`fraud demo`, as a newcomer runs it: twice, and with every service killed in turn."""

import json
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from checkouts import FRAUD, SERVICES, Checkout, await_condition, make_checkout

from contracts.kafka import full_ranges
from contracts.settings import KafkaSettings, load_settings
from stack.processes import strays

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

STREAMING = ("producer", "stream")
ENOUGH = 2_000
"""Decisions that are worth checking."""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A checkout that both demos share, as a newcomer's second run would."""
    made = make_checkout(tmp_path_factory.mktemp("demo"))
    yield made
    made.fraud("down")


class RunningDemo:
    """A demo in the background; its progress goes to a file that the test reads."""

    def __init__(self, checkout: Checkout, *arguments: str) -> None:
        self._log = Path(tempfile.mkstemp(suffix=".log")[1])
        with self._log.open("w") as progress:
            self._process = subprocess.Popen(
                [FRAUD, "demo", "--json", *arguments],
                env=checkout.environment,
                stdout=subprocess.PIPE,
                stderr=progress,
                text=True,
            )

    def has_said(self, words: str) -> bool:
        """Whether the progress holds the words; a demo that has ended early fails the test."""
        said = self._log.read_text()
        assert self._process.poll() is None or words in said, said
        return words in said

    def interrupt(self) -> None:
        """Press Ctrl-C: a demo without an end of its own then checks and stops."""
        self._process.send_signal(signal.SIGINT)

    def __enter__(self) -> "RunningDemo":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def finish(self, timeout_seconds: float) -> dict[str, object]:
        """Wait for the end; the summary of a demo whose every check held."""
        output, _ = self._process.communicate(timeout=timeout_seconds)
        assert self._process.returncode == 0, self._log.read_text() + output
        summary: dict[str, object] = json.loads(output)
        return summary


def pid_of(checkout: Checkout, name: str) -> int:
    return checkout.status()[name].pid


def kill_and_await(checkout: Checkout, name: str) -> None:
    before = pid_of(checkout, name)
    psutil.Process(before).kill()

    def is_back() -> bool:
        row = checkout.status()[name]
        return row.pid not in (0, before) and row.state in ("healthy", "running")

    await_condition(is_back, f"{name} runs again")


def records_ever(kafka: KafkaSettings, topic: str) -> int:
    """Records that the topic has ever had."""
    return sum(span.end for span in full_ranges(kafka, topic))


def await_growth(kafka: KafkaSettings, topic: str) -> None:
    """Wait until the topic holds more than it does now."""

    before = records_ever(kafka, topic)
    await_condition(lambda: records_ever(kafka, topic) > before, f"{topic} grows again")


def test_the_demo_holds_every_check_when_it_is_interrupted(checkout: Checkout) -> None:
    """From nothing the whole loop runs until Ctrl-C, which loses no answer; then all is stopped."""
    with RunningDemo(checkout) as demo:
        await_condition(lambda: demo.has_said("first live decision"), "the demo streams", 400)
        await_condition(lambda: demo.has_said("decided by v"), "the live view", 60)
        kafka = load_settings(checkout.root, checkout.environment).kafka
        scores = kafka.scores_topic
        await_condition(lambda: records_ever(kafka, scores) > ENOUGH, "the demo has decided")
        demo.interrupt()
        summary = demo.finish(200)
    assert summary["ok"] is True
    assert strays(checkout.layout) == []


def test_the_demo_goes_on_from_an_earlier_ones_data(checkout: Checkout) -> None:
    """On the data of the one before, and with an end of its own."""
    with RunningDemo(checkout, "--seconds", "15") as demo:
        summary = demo.finish(600)
    assert summary["ok"] is True
    assert strays(checkout.layout) == []


@pytest.mark.chaos
def test_the_demo_survives_the_death_of_every_service(checkout: Checkout) -> None:
    """With each service killed -9 in turn while it streams, every check of the demo still holds."""
    with RunningDemo(checkout) as demo:
        await_condition(lambda: demo.has_said("first live decision"), "the demo streams", 400)
        for name in (*SERVICES, *STREAMING):
            kill_and_await(checkout, name)
        kafka = load_settings(checkout.root, checkout.environment).kafka
        for topic in (kafka.topic, kafka.scores_topic):
            await_growth(kafka, topic)
        demo.interrupt()
        summary = demo.finish(200)
    assert summary["ok"] is True
    assert strays(checkout.layout) == []
