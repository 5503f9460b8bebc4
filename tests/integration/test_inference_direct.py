"""The direct consumer on real servers: kills, transactions, dead letters, explanations."""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest
from confluent_kafka.admin import AdminClient
from inference_rig import (
    Feed,
    answer_count,
    await_true,
    folding,
    make_home,
    promote,
    register_model,
    rejected_sources,
)
from rich.console import Console
from stream_process import EARLIEST, kill_group, stream

from contracts.errors import DataError
from contracts.settings import Settings, load_settings
from inference.dead_letters import find_letter, read_letters, replay_letter
from inference.decisions import FirstDecisions, read_decisions
from inference.direct import DirectOptions, run_direct
from inference.explain import tell
from inference.notes import Life

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]


@pytest.fixture
def home(tmp_path: Path, kafka_settings: Settings, redis_url: str) -> Path:
    """A checkout's home on servers of this session, with a champion."""
    home = make_home(tmp_path / "home", kafka_settings, redis_url)
    settings = load_settings(home, environ={})
    promote(settings, register_model(settings, home / "bundle", seed=1))
    return home


@pytest.fixture
def settings(home: Path) -> Iterator[Settings]:
    """The settings of that home, in which tiles across cards are folded."""
    settings = load_settings(home, environ={})
    with folding(settings):
        yield settings


@contextmanager
def deciding(settings: Settings) -> Iterator[None]:
    """A direct consumer in a thread for the length of the block."""
    stop = threading.Event()
    options = DirectOptions("test", EARLIEST)
    runner = threading.Thread(target=run_direct, args=(settings, options, stop, Life()))
    runner.start()
    try:
        yield
    finally:
        stop.set()
        runner.join(120)


def read_all(settings: Settings) -> tuple[FirstDecisions, list[dict[str, object]]]:
    """The reader's view of the score topic."""
    seen = FirstDecisions()
    return seen, [decision for decision, _ in read_decisions(settings.kafka, seen)]


@pytest.mark.chaos
@pytest.mark.parametrize("mode", [(), ("--transactional",)])
def test_kill_9_of_the_consumer_loses_nothing(
    home: Path, settings: Settings, mode: tuple[str, ...]
) -> None:
    """Two kills in mid-stream: one answer per record; with transactions not even a repeat."""
    feed = Feed(settings)
    run = ("direct", "--group", "kills", "--starting", EARLIEST, *mode)
    for _ in range(2):
        feed.send(20_000)
        before = answer_count(settings)
        with stream(home, *run) as process:
            await_true(lambda n=before: answer_count(settings) > n, "progress")
            kill_group(process)
        assert answer_count(settings) < feed.sent, "it was done before it was killed"
    with stream(home, *run):
        await_true(lambda: _answered(settings) == feed.sent, "an answer to every record")
    seen, decisions = read_all(settings)
    assert len(decisions) + len(set(rejected_sources(settings))) == feed.sent
    assert seen.differing == 0
    if mode:
        assert seen.repeats == 0


def _answered(settings: Settings) -> int:
    return len(read_all(settings)[1]) + len(set(rejected_sources(settings)))


def test_a_decision_is_rebuilt_from_kafka_and_the_registry(settings: Settings) -> None:
    """Features and score come out as served; the story shows history, amount and reasons."""
    feed = Feed(settings)
    feed.send(3_000)
    with deciding(settings):
        await_true(lambda: answer_count(settings) >= feed.sent, "all decisions")
    _, decisions = read_all(settings)
    chosen = [d for d in decisions if d["decision"] == "decline" and not d["is_duplicate"]][-1]
    story = tell(settings, str(chosen["transaction_id"]))
    assert story.features_equal
    assert story.score_equal
    assert {reason.method for reason in story.reasons} == {"tree_shap"}
    assert story.history
    shown = io.StringIO()
    Console(file=shown, width=140).print(story)
    assert f"{int(str(chosen['amount_minor'])) / 100:,.2f}" in shown.getvalue()
    assert "DECLINE" in shown.getvalue()
    with pytest.raises(DataError, match="no decision"):
        tell(settings, "nobody's")


def test_a_dead_letter_is_listed_and_decided_once_it_is_mended(settings: Settings) -> None:
    """Each broken record is listed with its bytes; its mended replay gets a decision."""
    feed = Feed(settings)
    feed.send(300)
    with deciding(settings):
        await_true(lambda: answer_count(settings) >= feed.sent, "all answers")
        letters = list(read_letters(settings.kafka))
        assert [letter.raw for letter in letters] == [b"{broken"] * 3
        letter = find_letter(settings.kafka, letters[0].number)
        assert letter == letters[0]
        replay_letter(settings.kafka, letter, _mended())
        await_true(lambda: answer_count(settings) >= feed.sent + 1, "the replay's decision")
    _, decisions = read_all(settings)
    assert "mended" in {d["transaction_id"] for d in decisions}
    with pytest.raises(DataError, match="no such dead letter"):
        find_letter(settings.kafka, "0:999999")


def _mended() -> bytes:
    return orjson.dumps(
        {
            "schema_version": 1,
            "transaction_id": "mended",
            "event_time": 1_750_000_000_000_000,
            "card_id": "card-1",
            "merchant_id": "m1",
            "amount_minor": 100,
        }
    )


@pytest.mark.chaos
def test_two_members_share_the_partitions(home: Path, settings: Settings) -> None:
    """A second member takes some partitions over, and every record still has one decision."""
    feed = Feed(settings)
    feed.send(1_000)
    run = ("direct", "--group", "pair", "--starting", EARLIEST)
    with stream(home, *run):
        await_true(lambda: _answered(settings) == feed.sent, "the first member's decisions")
        with stream(home, *run):
            await_true(lambda: _members(settings, "pair") == 2, "two members with partitions")
            feed.send(1_000)
            await_true(lambda: _answered(settings) == feed.sent, "both members' decisions")
    assert read_all(settings)[0].differing == 0


def _members(settings: Settings, group: str) -> int:
    admin = AdminClient({"bootstrap.servers": settings.kafka.broker})
    described = admin.describe_consumer_groups([group])[group].result(timeout=20)
    return sum(bool(member.assignment.topic_partitions) for member in described.members)
