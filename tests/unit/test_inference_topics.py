"""Topics that are missing or have other partitions: refused, noticed, and said with the remedy."""

import threading
from pathlib import Path

import pytest

from contracts.errors import BrokerError, TopicError
from contracts.kafka import refuse_topics
from contracts.settings import KafkaSettings, load_settings
from inference.conditions import (
    topic_conditions,
)
from inference.topic_watch import watched_topics


@pytest.fixture
def kafka() -> KafkaSettings:
    """Topics with four partitions."""
    return load_settings(Path(__file__).resolve().parents[2], environ={}).kafka


def counts(kafka: KafkaSettings, **changes: int) -> dict[str, int]:
    """All topics as they should be, but for changes."""
    names = (kafka.topic, kafka.labels_topic, kafka.scores_topic, kafka.rejects_topic)
    more = dict.fromkeys((*names, kafka.shadow_topic, kafka.alerts_topic), kafka.partitions)
    return more | {kafka.frontiers_topic: 1} | changes


def test_topics_as_they_should_be_are_nothing_to_attend_to(kafka: KafkaSettings) -> None:
    """Other topics of the broker do not matter either."""
    assert list(topic_conditions(kafka, counts(kafka, another=9))) == []


def test_a_missing_topic_is_named(kafka: KafkaSettings) -> None:
    """One that is read and one that is written, with what makes them."""
    known = counts(kafka)
    del known[kafka.topic], known[kafka.rejects_topic]
    (found,) = topic_conditions(kafka, known)
    assert found.text == "topics are missing (got ['transactions', 'transactions_dlq'])"
    assert "`fraud up`" in found.remedy


def test_added_partitions_are_refused_with_the_remedy(kafka: KafkaSettings) -> None:
    """Cards would move to other partitions, away from their history."""
    (found,) = topic_conditions(kafka, counts(kafka, transactions=6))
    assert "has 6 partitions, not 4" in found.text
    assert "a new topic of 4 partitions" in found.remedy


def test_what_tiles_read_is_looked_at_too(kafka: KafkaSettings) -> None:
    """Labels on an added partition would never be folded; without promises nothing moves on."""
    (found,) = topic_conditions(kafka, counts(kafka, transaction_labels=6))
    assert "transaction_labels has 6 partitions, not 4" in found.text
    known = counts(kafka)
    del known[kafka.labels_topic], known[kafka.frontiers_topic]
    (found,) = topic_conditions(kafka, known)
    assert found.text == "topics are missing (got ['transaction_labels', 'transaction_frontiers'])"


def test_a_stream_over_wrong_topics_does_not_start(kafka: KafkaSettings) -> None:
    """The refusal comes before anything is decided."""
    decided = False
    with (
        pytest.raises(TopicError, match="missing"),
        watched_topics(lambda: refuse_topics(kafka, {}), threading.Event()),
    ):
        decided = True
    assert not decided


def test_partitions_added_while_it_runs_end_the_stream(kafka: KafkaSettings) -> None:
    """It is stopped in order, so that what was decided is committed, and then fails loudly."""
    stop = threading.Event()
    added = counts(kafka, transactions=6)
    looks = iter([counts(kafka), BrokerError("away for a moment"), added, added])

    def check() -> None:
        found = next(looks)
        if isinstance(found, BrokerError):
            raise found
        refuse_topics(kafka, found)

    was_stopped = False
    with (
        pytest.raises(TopicError, match="6 partitions"),
        watched_topics(check, stop, look_seconds=0.01),
    ):
        was_stopped = stop.wait(10)
    assert was_stopped


def test_one_look_without_a_topic_does_not_end_the_stream(kafka: KafkaSettings) -> None:
    """A broker that has just come back may not know all its topics yet."""
    stop, was_seen = threading.Event(), threading.Event()
    whole, none = counts(kafka), dict[str, int]()
    looks = [whole, none, whole, none, whole]

    def check() -> None:
        found = looks.pop(0) if len(looks) > 1 else looks[0]
        if len(looks) == 1:
            was_seen.set()
        refuse_topics(kafka, found)

    with watched_topics(check, stop, look_seconds=0.01):
        assert was_seen.wait(10)
    assert not stop.is_set()
