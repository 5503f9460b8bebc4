"""Bounded reads of a partition: whatever the consumer's batches, the range and nothing else."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from confluent_kafka import KafkaError

from contracts.errors import BrokerError, TopicError
from contracts.kafka import OffsetRange, poll_until, refuse_other_partitions
from contracts.settings import KafkaSettings, load_settings

SPAN = OffsetRange("t", 0, 0, 8)


@dataclass(frozen=True)
class FakeMessage:
    """A record, or the news that the partition ends at `at`."""

    at: int | None
    failure: KafkaError | None = None

    def error(self) -> KafkaError | None:
        """None for a record."""
        return self.failure

    def offset(self) -> int | None:
        """Where it stands."""
        return self.at

    def partition(self) -> int:
        """Always the first."""
        return 0

    def timestamp(self) -> tuple[int, int]:
        """Kind and milliseconds."""
        return 1, 0

    def key(self) -> bytes | None:
        """None."""
        return None

    def value(self) -> bytes | None:
        """Nothing to read."""
        return b""


class FakeConsumer:
    """Gives prepared batches, then nothing for ever."""

    def __init__(self, *batches: list[FakeMessage]) -> None:
        self._batches = list(batches)

    def consume(self, num_messages: int, timeout: float) -> list[FakeMessage]:
        """The next batch."""
        return self._batches.pop(0) if self._batches else []


def records(*offsets: int) -> list[FakeMessage]:
    """Records at these offsets."""
    return [FakeMessage(offset) for offset in offsets]


def end(at: int | None) -> FakeMessage:
    """The partition has been read up to here."""
    return FakeMessage(at, KafkaError(KafkaError._PARTITION_EOF))


def read(*batches: list[FakeMessage]) -> list[int]:
    """Offsets of what a bounded read of 0 to 8 gives, two seconds without news being a failure."""
    found = poll_until(FakeConsumer(*batches), SPAN, 100, 2.0)
    return [record.offset for some in found for record in some]


@pytest.mark.parametrize(
    "batches",
    [
        [[*records(0, 1, 2), end(8)]],
        [[*records(0, 1, 2), end(None)]],
        [records(0, 1, 2), [end(9)]],
        [records(0, 1, 2), [end(8), *records(8, 9)]],
        [records(0, 1, 2), records(9)],
        [[*records(0, 1), end(2)], [*records(2), end(8)]],
    ],
)
def test_a_range_may_end_without_records(batches: list[list[FakeMessage]]) -> None:
    """Where its last offsets hold markers, the news of the end ends it, alone or with records."""
    assert read(*batches) == [0, 1, 2]


def test_the_range_is_cut_at_its_end() -> None:
    """Records behind the range are not given; its last record ends it without more news."""
    assert read(records(0, 1, 2, 3), records(4, 5, 6, 7, 8, 9)) == list(range(8))


@pytest.mark.parametrize("batches", [[], [records(0)], [[*records(0), end(1)]]])
def test_a_silent_broker_is_an_error(batches: list[list[FakeMessage]]) -> None:
    """Before the range has been read, silence is no end; nor is an end before that of the range."""
    with pytest.raises(BrokerError, match="no records"):
        read(*batches)


def test_a_refused_read_is_an_error() -> None:
    """Any other news than the partition's end is the project's own error."""
    with pytest.raises(BrokerError, match="refused"):
        read([FakeMessage(None, KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))])


@pytest.fixture
def kafka() -> KafkaSettings:
    """Four partitions a topic, one of the frontiers'."""
    return load_settings(Path(__file__).resolve().parents[2], environ={}).kafka


def remedy_for(kafka: KafkaSettings, topic: str, found: int) -> str:
    """What to do about a topic with so many partitions."""
    with pytest.raises(TopicError, match=f"topic {topic} has {found} partitions") as refused:
        refuse_other_partitions(kafka, topic, found)
    return refused.value.remedy


def test_the_remedy_for_other_partitions_is_the_topics_own(kafka: KafkaSettings) -> None:
    """Only transactions have cards; promises' one partition is not what the settings count."""
    of_cards = remedy_for(kafka, kafka.topic, 6)
    of_labels = remedy_for(kafka, kafka.labels_topic, 6)
    of_promises = remedy_for(kafka, kafka.frontiers_topic, 3)
    assert "kafka.partitions back to 6" in of_cards
    assert "kafka.partitions back to 6" in of_labels
    assert "KAFKA_TOPIC" in of_cards
    assert "KAFKA_TOPIC" not in of_labels + of_promises
    assert "kafka.partitions" not in of_promises
    refuse_other_partitions(kafka, kafka.frontiers_topic, 1)
    refuse_other_partitions(kafka, kafka.labels_topic, 4)
