"""A dead letter sent again: to its topic, with the topic's own time, and only if Kafka took it."""

from base64 import b64encode
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from contracts.delivery import Delivery
from contracts.errors import BrokerError, DataError
from contracts.messages import Rejected, SourceRef
from inference.dead_letters import (
    NOT_A_LETTER,
    DeadLetter,
    refuse_foreign,
    replay_stamp_ms,
    send_again,
)

HOUR_MS = 3_600_000
NOW_MS = 1_767_225_600_000


class FakeProducer:
    """Keeps what it is given; a `refusal` is reported, or raised when it is queued."""

    def __init__(self, refusal: KafkaError | None = None, *, at_once: bool = False) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.answers = True
        self.room = 10
        self._refusal = refusal
        self._at_once = at_once

    def produce(self, topic: str, /, **record: Any) -> None:
        """Queue it."""
        if self._refusal is not None and self._at_once:
            raise KafkaException(self._refusal)
        if len(self.sent) >= self.room:
            raise BufferError
        self.sent.append((topic, record))

    def poll(self, timeout: float, /) -> int:
        """A broker that answers makes room for one more."""
        self.room += self.answers
        return int(self.answers)

    def flush(self, timeout: float, /) -> int:
        """Report on all."""
        if not self.answers:
            return len(self.sent)
        for _, record in self.sent:
            record["on_delivery"](self._refusal, None)
        return 0

    def __len__(self) -> int:
        return len(self.sent)


def letter(code: str = "not_json", key: bytes | None = b"card-1") -> DeadLetter:
    """A letter about a record at t-3:17."""
    rejected = Rejected(
        source=SourceRef(topic="t", partition=3, offset=17),
        error_code=code,
        error_message="",
        raw=b64encode(b"{broken").decode(),
    )
    return DeadLetter(0, 5, NOW_MS, key, rejected)


@pytest.mark.parametrize(
    ("newest", "promised", "expected"),
    [
        ({3: NOW_MS - HOUR_MS, 4: NOW_MS - 5}, None, NOW_MS),
        ({3: NOW_MS - 50 * HOUR_MS, 4: NOW_MS - HOUR_MS}, None, NOW_MS),
        ({}, None, NOW_MS),
        ({3: NOW_MS - 50 * HOUR_MS, 4: NOW_MS - 40 * HOUR_MS}, None, NOW_MS - 50 * HOUR_MS),
        ({4: NOW_MS - 40 * HOUR_MS}, None, NOW_MS - 40 * HOUR_MS),
        ({3: NOW_MS - 9, 4: NOW_MS - 8}, NOW_MS - HOUR_MS, NOW_MS - 9),
        ({3: NOW_MS - 50 * HOUR_MS}, NOW_MS - 45 * HOUR_MS, NOW_MS - 45 * HOUR_MS),
    ],
)
def test_a_replay_has_its_topics_time(
    newest: dict[int, int], promised: int | None, expected: int
) -> None:
    """Now where the topic is live, else its partition's newest time, and never before a promise."""
    assert replay_stamp_ms(newest, 3, promised, NOW_MS) == expected


@pytest.mark.parametrize(("key", "mended", "partition"), [(b"card-1", None, -1), (None, b"{}", 3)])
def test_a_replay_names_its_source_and_keeps_its_place(
    key: bytes | None, mended: bytes | None, partition: int
) -> None:
    """Bytes, key, stamp and header arrive; without a key it goes where it stood."""
    producer = FakeProducer()
    send_again(Delivery(producer, "the record"), letter(key=key), mended, NOW_MS)
    ((topic, record),) = producer.sent
    assert (topic, record["key"], record["value"]) == ("t", key, mended or b"{broken")
    assert (record["partition"], record["timestamp"]) == (partition, NOW_MS)
    assert record["headers"] == [("replayed_from", "t-3:17")]


@pytest.mark.parametrize("at_once", [False, True])
def test_a_refused_replay_is_an_error(at_once: bool) -> None:
    """What the broker, or the client itself, refuses is never reported as sent."""
    refusal = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    producer = FakeProducer(refusal, at_once=at_once)
    with pytest.raises(BrokerError, match=r"the record did not arrive: .*uthoriz"):
        send_again(Delivery(producer, "the record"), letter(), None, NOW_MS)


def test_a_silent_broker_is_an_error() -> None:
    """No answer within the deadline is a failure, whether at the end or while the queue is full."""
    producer = FakeProducer()
    producer.answers = False
    with pytest.raises(BrokerError, match="deadline"):
        send_again(Delivery(producer, "the record"), letter(), None, NOW_MS)
    producer.room = 0
    with pytest.raises(BrokerError, match="deadline"):
        send_again(Delivery(producer, "the record"), letter(), None, NOW_MS)


def test_a_full_queue_is_waited_for() -> None:
    """A record that finds the queue full is sent once there is room, and once."""
    producer = FakeProducer()
    producer.room = 0
    send_again(Delivery(producer, "the record"), letter(), None, NOW_MS)
    assert len(producer) == 1


def test_what_is_no_letter_is_not_sent() -> None:
    """A record of the dead-letter topic that names no source has no topic to go to."""
    with pytest.raises(DataError, match="no dead letter"):
        refuse_foreign(letter(NOT_A_LETTER))
    refuse_foreign(letter())
