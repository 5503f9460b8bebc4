"""The platform's decisions as the world sees them: read from the scores topic, in order."""

from typing import Any, NamedTuple

import orjson
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from contracts.errors import BrokerError
from contracts.kafka import OffsetRange, full_ranges, make_reader
from contracts.messages import DecisionKind
from contracts.settings import KafkaSettings

DECISION_HEADER = "decision"
"""An outcome's header: the offset of the decision that it follows."""
_LOOK_BACK_RECORDS = 250_000
_TAIL_RECORDS = 64


class Verdict(NamedTuple):
    """A decision of record; `partition` and `offset` are its own place on the scores topic."""

    transaction_id: str
    card_id: str
    event_us: int
    decision: DecisionKind
    is_control: bool
    partition: int
    offset: int


class VerdictFollower:
    """Follows the scores topic from some way back; the first answer to a record is the one."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._consumer = make_reader(kafka)
        self._answered: dict[int, int] = {}
        spans = full_ranges(kafka, kafka.scores_topic)
        self._consumer.assign(
            [
                TopicPartition(
                    span.topic, span.partition, max(span.start, span.end - _LOOK_BACK_RECORDS)
                )
                for span in spans
            ]
        )

    def poll(self, limit: int = 5_000) -> list[Verdict]:
        """What has been decided since the last call; returns at once.

        Raises:
            BrokerError: the broker refuses the read.
        """
        messages = [m for m in self._consumer.consume(limit, timeout=0.0) if _is_data(m)]
        found = (self._verdict(message) for message in messages)
        return [verdict for verdict in found if verdict is not None]

    def close(self) -> None:
        """Let go of the broker."""
        self._consumer.close()

    def _verdict(self, message: Message) -> Verdict | None:
        body = _json(message.value())
        if body is None or body.get("is_duplicate", True):
            return None
        partition, source_offset = message.partition() or 0, int(body["source"]["offset"])
        if source_offset <= self._answered.get(partition, -1):
            return None
        self._answered[partition] = source_offset
        return Verdict(
            transaction_id=body["transaction_id"],
            card_id=body["card_id"],
            event_us=body["event_time"],
            decision=DecisionKind(body["decision"]),
            is_control=body["control"],
            partition=partition,
            offset=message.offset() or 0,
        )


def followed_up(kafka: KafkaSettings) -> dict[int, int]:
    """Per partition the offset of the last decision that an outcome has followed."""
    consumer = make_reader(kafka)
    try:
        spans = full_ranges(kafka, kafka.outcomes_topic)
        return {
            span.partition: offset
            for span in spans
            for offset in [_last_decision(consumer, span)]
            if offset is not None
        }
    finally:
        consumer.close()


def _last_decision(consumer: Consumer, span: OffsetRange) -> int | None:
    """The newest decision header of a partition, sought backwards: a thief's outcomes have none."""
    end, step = span.end, _TAIL_RECORDS
    while end > span.start:
        start = max(span.start, end - step)
        consumer.assign([TopicPartition(span.topic, span.partition, start)])
        messages = [m for m in consumer.consume(end - start, timeout=10.0) if _is_data(m)]
        offsets = [offset for message in messages for offset in _decision_offsets(message)]
        if offsets:
            return max(offsets)
        end, step = start, step * 8
    return None


def _decision_offsets(message: Message) -> list[int]:
    headers: list[tuple[str, bytes | None]] = list(message.headers() or [])  # type: ignore[arg-type]
    return [int(value) for name, value in headers if name == DECISION_HEADER and value is not None]


def _is_data(message: Message) -> bool:
    error = message.error()
    if error is None:
        return True
    if error.code() == KafkaError._PARTITION_EOF or error.retriable():
        return False
    raise BrokerError(f"Kafka refused a read of decisions: {error.str()}")


def _json(value: bytes | None) -> dict[str, Any] | None:
    try:
        body = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return None
    return body if isinstance(body, dict) and "source" in body else None
