"""Bad days on real servers: the stream does what it should, and `fraud status` finds the words."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest
import yaml
from confluent_kafka.admin import AdminClient, NewPartitions
from inference_rig import (
    FIRST_TIME_US,
    Feed,
    answer_count,
    await_true,
    folding,
    make_home,
    promise,
    promote,
    register_model,
)
from stream_process import EARLIEST, stream

from contracts.errors import StoreError
from contracts.kafka import make_producer
from contracts.settings import Settings, load_settings
from inference.decisions import FirstDecisions, read_decisions
from inference.notes import LIFE, STOPPED, WAITING, Life, RedisNotes
from inference.shared_registry import LONGEST_LOOK_SECONDS, LOOK_SECONDS, RedisBoard, Turn
from inference.stream_state import stream_conditions
from models.registry import CHAMPION
from models.tracking import tracking_client

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
GROUP = ("direct", "--group", "fraud-detection", "--starting", EARLIEST)


@pytest.fixture
def home(tmp_path: Path, kafka_settings: Settings, redis_url: str) -> Path:
    """A checkout's home on servers of this session, without a champion."""
    return make_home(tmp_path / "home", kafka_settings, redis_url)


@pytest.fixture
def settings(home: Path) -> Settings:
    """The settings of that home."""
    return load_settings(home, environ={})


def said(settings: Settings) -> str:
    """All that is to be attended to, a line each."""
    return "\n".join(f"{c.about}: {c.text} {c.remedy}" for c in stream_conditions(settings))


def saying(settings: Settings, words: str) -> Callable[[], bool]:
    """Whether these words are said."""
    return lambda: words in said(settings)


def tiers(settings: Settings) -> set[str]:
    """What decided."""
    return {str(d["tier"]) for d, _ in read_decisions(settings.kafka, FirstDecisions())}


@contextmanager
def deciding(home: Path, settings: Settings, count: int) -> Iterator[Feed]:
    """The direct consumer of the default group, after its first decisions."""
    feed = Feed(settings)
    feed.send(count)
    with folding(settings), stream(home, *GROUP):
        await_true(lambda: answer_count(settings) >= feed.sent, "the first decisions", 120)
        yield feed


def test_champions_come_go_and_break(home: Path, settings: Settings) -> None:
    """None yet: the rules. One deleted, one damaged: the loaded one goes on, and it is said."""
    client = tracking_client(settings.mlflow)
    client.create_experiment(settings.mlflow.experiment, (home / "artifacts").as_uri())
    assert said(settings) == ""
    with deciding(home, settings, 300) as feed:
        await_true(saying(settings, "direct fraud-detection: no champion yet"), "words", 30)
        assert tiers(settings) == {"fallback"}
        first = register_model(settings, home / "one", seed=1)
        promote(settings, first)
        await_true(lambda: said(settings) == "", "the champion", 60)
        client.delete_registered_model_alias(settings.mlflow.model_name, CHAMPION)
        await_true(
            saying(settings, f"deleted from the registry: version {first} goes"), "words", 30
        )
        whole = set(home.rglob("model.ubj"))
        unseen = random.randrange(2, 1 << 31)  # of a bundle seen before the machine has a good copy
        second = register_model(settings, home / "two", seed=unseen)
        for file in set(home.rglob("model.ubj")) - whole:
            file.write_bytes(b"{L\0")
        promote(settings, second)
        await_true(saying(settings, f"champion {second} cannot be used: "), "words", 60)
        feed.send(300)
        await_true(lambda: answer_count(settings) >= feed.sent, "decisions", 60)
    assert tiers(settings) == {"fallback", "model"}
    assert said(settings) == ""


def test_a_registry_out_of_reach_at_the_start(home: Path, settings: Settings) -> None:
    """A group that has been here before decides by the rules, and the reason is said."""
    with deciding(home, settings, 300):
        pass
    config = home / "config" / "config.yaml"
    tree = yaml.safe_load(config.read_text())
    tree["mlflow"]["tracking_uri"] = "http://127.0.0.1:9"
    config.write_text(yaml.safe_dump(tree))
    without = load_settings(home, environ={})
    with deciding(home, without, 300):
        await_true(saying(without, "the registry is out of reach"), "words", 30)
        assert "; the rules decide" in said(without)
    assert tiers(without) == {"fallback"}


def test_added_partitions_end_the_stream_and_keep_it_from_starting(
    home: Path, settings: Settings
) -> None:
    """In order, with exit code 2, and the remedy stands in `fraud status` afterwards."""
    admin = AdminClient({"bootstrap.servers": settings.kafka.broker})
    feed = Feed(settings)
    feed.send(300)
    with folding(settings), stream(home, *GROUP) as process:
        await_true(lambda: answer_count(settings) >= feed.sent, "the first decisions", 120)
        added = admin.create_partitions([NewPartitions(settings.kafka.topic, 6)])
        added[settings.kafka.topic].result(20)
        assert process.wait(60) == 2
    assert "has 6 partitions, not 4" in said(settings)
    assert "ended" in said(settings)
    with stream(home, *GROUP) as process:
        assert process.wait(60) == 2


def test_a_missing_topic(home: Path, settings: Settings) -> None:
    """The stream refuses to start, and the topic is named."""
    admin = AdminClient({"bootstrap.servers": settings.kafka.broker})
    admin.delete_topics([settings.kafka.rejects_topic])[settings.kafka.rejects_topic].result(20)
    await_true(
        saying(settings, f"kafka: topics are missing (got ['{settings.kafka.rejects_topic}"),
        "words",
        30,
    )
    with stream(home, *GROUP) as process:
        assert process.wait(60) == 2
    assert "direct fraud-detection: ended" in said(settings)


def test_a_frontier_that_stalls(home: Path, settings: Settings) -> None:
    """Partitions about which nobody promises hold the others up: named, and over with a promise."""
    promote(settings, register_model(settings, home / "one", seed=1))
    with deciding(home, settings, 300) as feed:
        later_ms = FIRST_TIME_US // 1000 + feed.sent * 30_000 + 3_600_000
        send_one(settings, later_ms)
        await_true(saying(settings, "tiles: the frontier stalls: partition "), "words", 60)
        await_true(saying(settings, "features across cards are not complete in time"), "words", 60)
        promise(settings.kafka, later_ms)
        await_true(lambda: "stalls" not in said(settings), "the end of it", 60)
    assert tiers(settings) == {"model", "fallback"}


def send_one(settings: Settings, stamp_ms: int) -> None:
    """A transaction about whose time the other partitions know nothing."""
    value = {
        "schema_version": 1,
        "transaction_id": "ahead",
        "event_time": stamp_ms * 1000,
        "card_id": "card-1",
        "merchant_id": "m1",
        "amount_minor": 100,
    }
    producer = make_producer(settings.kafka)
    producer.produce(
        settings.kafka.topic, key="card-1", value=orjson.dumps(value), timestamp=stamp_ms
    )
    producer.flush(30)


def test_processes_leave_notes_side_by_side(redis_url: str) -> None:
    """One's word does not replace another's; times are those of Redis."""
    notes = [RedisNotes(redis_url, "side-by-side", who=who) for who in "ab"]
    for own in notes:
        own.write(LIFE, Life().body())
    notes[0].write(LIFE, {"state": STOPPED, "age": 1.0})
    found = {note.who: note for note in notes[1].read()}
    assert {who: note.body["state"] for who, note in found.items()} == {"a": STOPPED, "b": WAITING}
    assert abs(notes[0].now() - found["b"].said_at) < 10


def test_processes_take_turns_at_the_registry(redis_url: str, settings: Settings) -> None:
    """Who has the turn tells the others, who take the next; what was told does not last."""
    boards = [RedisBoard(redis_url, settings.mlflow) for _ in range(2)]
    assert boards[0].take_turn() == Turn(is_ours=True, told=None)
    assert boards[1].take_turn() == Turn(is_ours=False, told=None)
    boards[0].end_turn("7", LOOK_SECONDS)
    turn = boards[1].take_turn()
    assert turn.told is not None
    assert (turn.is_ours, turn.told.found) == (False, "7")
    await_true(lambda: boards[1].take_turn() == Turn(is_ours=True, told=turn.told), "the turn", 5)
    boards[1].end_turn("7", LONGEST_LOOK_SECONDS)
    again = boards[0].take_turn().told
    assert again is not None
    assert again.found == "7"
    assert again.look != turn.told.look  # that the same was found is news too
    boards[1].end_turn(None, LONGEST_LOOK_SECONDS)
    await_true(lambda: boards[0].take_turn() == Turn(is_ours=False, told=None), "silence", 5)


def test_another_registry_has_turns_of_its_own(redis_url: str, settings: Settings) -> None:
    """A model of the same name elsewhere is another model."""
    elsewhere = settings.mlflow.model_copy(update={"tracking_uri": "http://127.0.0.1:9"})
    assert RedisBoard(redis_url, settings.mlflow).take_turn().is_ours
    assert RedisBoard(redis_url, elsewhere).take_turn().is_ours
    with pytest.raises(StoreError):
        RedisBoard("redis://127.0.0.1:9/0", elsewhere).take_turn()
