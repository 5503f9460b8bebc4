"""Kafka clients made from settings, and bounded reads of a topic."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from contracts.errors import BrokerError, OffsetsExpiredError, TopicError
from contracts.settings import KafkaSettings

LETTER_BYTES = 2_097_152
"""A dead letter may be larger than what Kafka takes by default: the record in it is in base64."""

PARTITIONER = "murmur2_random"
"""The Java client's partitioner; librdkafka's own default sends three keys in four elsewhere."""


@dataclass(frozen=True, slots=True)
class OffsetRange:
    """Records `start <= offset < end` of one partition."""

    topic: str
    partition: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class RawRecord:
    """A Kafka record as it came; `timestamp_ms` is its CreateTime."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


def client_config(kafka: KafkaSettings, **extra: Any) -> dict[str, Any]:
    """Librdkafka's connection settings; the password leaves its hiding place only here."""
    config: dict[str, Any] = {
        "bootstrap.servers": kafka.broker,
        "security.protocol": kafka.security_protocol,
        "broker.address.family": "v4",
        # Failures come as errors; the library's own log would repeat them 20 times a second.
        "log_level": 1,
        # A broker that was started again is found within a second, not ten.
        "reconnect.backoff.max.ms": 1_000,
    }
    if kafka.security_protocol.startswith("SASL"):
        password = kafka.sasl_password.get_secret_value() if kafka.sasl_password else ""
        config |= {
            "sasl.mechanisms": kafka.sasl_mechanism,
            "sasl.username": kafka.sasl_username or "",
            "sasl.password": password,
        }
    return config | extra


def make_producer(kafka: KafkaSettings, **extra: Any) -> Producer:
    """An idempotent producer that partitions as the Java clients do."""
    defaults = {
        "enable.idempotence": True,
        "partitioner": PARTITIONER,
        "compression.type": "lz4",
        "linger.ms": 5,
        "message.max.bytes": LETTER_BYTES,
    }
    return Producer(client_config(kafka, **(defaults | extra)))


def make_reader(kafka: KafkaSettings, **extra: Any) -> Consumer:
    """A consumer for assigned partitions that neither commits nor joins a group."""
    defaults = {
        "group.id": f"{kafka.group_id}-reader",
        "enable.auto.commit": False,
        "auto.offset.reset": "error",
        "enable.partition.eof": True,
        "fetch.max.bytes": 16 * 1024 * 1024,
        "queued.max.messages.kbytes": 64 * 1024,
    }
    return Consumer(client_config(kafka, **(defaults | extra)))


def full_ranges(
    kafka: KafkaSettings, topic: str, *, timeout_seconds: float = 10.0
) -> list[OffsetRange]:
    """Every record that the topic holds now, a range per partition in order.

    Raises:
        BrokerError: the broker cannot be reached, or the topic does not exist.
    """
    errors: list[KafkaError] = []
    consumer = make_reader(kafka, error_cb=errors.append)
    try:
        return [
            OffsetRange(topic, partition, *_watermarks(consumer, topic, partition, timeout_seconds))
            for partition in _partitions(consumer, topic, timeout_seconds)
        ]
    except KafkaException as error:
        consumer.poll(0)
        raise _unreachable(kafka, (*errors, error.args[0])) from error
    finally:
        consumer.close()


def _partitions(consumer: Consumer, topic: str, timeout_seconds: float) -> list[int]:
    metadata = consumer.list_topics(topic, timeout=timeout_seconds).topics[topic]
    if metadata.error is not None:
        raise TopicError(
            f"topic is not usable: {metadata.error.str()}", value=topic, remedy=_MAKE_TOPIC
        )
    return sorted(metadata.partitions)


_MAKE_TOPIC = "Create it with `fraud up`, or correct its name in config/config.yaml"


def partition_counts(kafka: KafkaSettings, *, timeout_seconds: float = 5.0) -> dict[str, int]:
    """Every topic of the broker, and how many partitions it has.

    Raises:
        BrokerError: the broker does not answer.
    """
    errors: list[KafkaError] = []
    admin = AdminClient(client_config(kafka, error_cb=errors.append))
    try:
        topics = admin.list_topics(timeout=timeout_seconds).topics
    except KafkaException as error:
        admin.poll(0)
        raise _unreachable(kafka, (*errors, error.args[0])) from error
    return {name: len(topic.partitions) for name, topic in topics.items()}


def refuse_topics(kafka: KafkaSettings, counts: Mapping[str, int]) -> None:
    """Features, state and checkpoints hold for topics with the partitions that they were made with.

    Raises:
        TopicError: a topic that the stream or the tiles read or write is missing, or one that they
            read has another number of partitions than it is made with.
    """
    read = [kafka.topic, kafka.labels_topic, kafka.frontiers_topic]
    written = [kafka.scores_topic, kafka.rejects_topic, kafka.shadow_topic]
    needed = [*read, *written, *([kafka.alerts_topic] if kafka.copy_alerts else [])]
    missing = [name for name in needed if name not in counts]
    if missing:
        raise TopicError("topics are missing", value=missing, remedy=_MAKE_TOPIC)
    for topic in read:
        refuse_other_partitions(kafka, topic, counts[topic])


def partitions_of(kafka: KafkaSettings, topic: str) -> int:
    """How many a topic is made with; promises are few, and stay in order."""
    return 1 if topic == kafka.frontiers_topic else kafka.partitions


def refuse_other_partitions(kafka: KafkaSettings, topic: str, found: int) -> None:
    """TopicError unless a topic has as many partitions as it is made with."""
    wanted = partitions_of(kafka, topic)
    if found != wanted:
        raise TopicError(
            f"topic {topic} has {found} partitions, not {wanted}",
            remedy=_other_partitions_remedy(kafka, topic, found, wanted),
        )


def _other_partitions_remedy(kafka: KafkaSettings, topic: str, found: int, wanted: int) -> str:
    if topic == kafka.frontiers_topic:
        return "Delete it and run `fraud up`, then let publishers promise again"
    changed = f"Set kafka.partitions back to {found} if that was changed. "
    if topic == kafka.topic:
        return changed + (
            "If partitions were added, cards have left their history behind: copy the records in "
            f"time order into a new topic of {wanted} partitions and set KAFKA_TOPIC to that"
        )
    return changed + f"If partitions were added, name a new topic of {wanted} in config/config.yaml"


_ELECTING = (KafkaError.LEADER_NOT_AVAILABLE, KafkaError.NOT_LEADER_FOR_PARTITION)


def _watermarks(
    consumer: Consumer, topic: str, partition: int, timeout_seconds: float
) -> tuple[int, int]:
    """The first and the next offset; a new partition is asked again while it elects a leader."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            marks: tuple[int, int] = consumer.get_watermark_offsets(
                TopicPartition(topic, partition), timeout=timeout_seconds
            )
        except KafkaException as error:
            if error.args[0].code() not in _ELECTING or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return marks


def _unreachable(kafka: KafkaSettings, errors: Sequence[KafkaError]) -> BrokerError:
    """The most telling of `errors`: a refused login before the time-out that it led to."""
    refused = [error for error in errors if error.code() in _REFUSED]
    return BrokerError(
        f"Kafka did not answer: {(refused or list(errors))[0].str()}",
        value=kafka.broker,
        remedy="Check KAFKA_BROKER and the KAFKA_* credentials; locally, run `fraud status`",
    )


_REFUSED = (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError._SSL)


def read_range(
    kafka: KafkaSettings,
    span: OffsetRange,
    *,
    batch_size: int = 10_000,
    stall_seconds: float = 30.0,
) -> Iterator[list[RawRecord]]:
    """Yield the records of `span` in offset order, in lists of at most `batch_size`.

    Raises:
        OffsetsExpiredError: retention has deleted the beginning of the range.
        BrokerError: nothing arrived for `stall_seconds`.
    """
    if span.start >= span.end:
        return
    consumer = make_reader(kafka)
    try:
        _refuse_expired(kafka, consumer, span)
        consumer.assign([TopicPartition(span.topic, span.partition, span.start)])
        yield from poll_until(consumer, span, batch_size, stall_seconds)
    finally:
        consumer.close()


def _refuse_expired(kafka: KafkaSettings, consumer: Consumer, span: OffsetRange) -> None:
    try:
        low, high = _watermarks(consumer, span.topic, span.partition, 10.0)
    except KafkaException as error:
        raise _unreachable(kafka, error.args[:1]) from error
    if span.start < low or span.end > high:
        raise OffsetsExpiredError(
            f"{span.topic}-{span.partition} holds offsets {low} to {high}",
            value=(span.start, span.end),
            remedy="Raise kafka.retention_ms, or take a new snapshot",
        )


class Polled(Protocol):
    """What is needed of an assigned consumer."""

    def consume(self, num_messages: int, timeout: float) -> list[Any]:
        """Up to so many messages, among them those that say where the partition ends."""


def poll_until(
    consumer: Polled, span: OffsetRange, batch_size: int, stall_seconds: float
) -> Iterator[list[RawRecord]]:
    """See `read_range`. A range may end in offsets without a record: markers, compacted records."""
    position = span.start
    idle_seconds = 0.0
    while position < span.end:
        messages = consumer.consume(min(batch_size, span.end - position), 0.5)
        idle_seconds = 0.0 if messages else idle_seconds + 0.5
        if idle_seconds >= stall_seconds:
            raise BrokerError(
                f"no records from {span.topic}-{span.partition} for {stall_seconds:.0f} s",
                value=position,
                remedy="Check the broker with `fraud status` and its log",
            )
        data = [_record(m) for m in messages if _is_data(m)]
        ends = [_place_of_end(m, span) for m in messages if m.error() is not None]
        position = max([position, *ends, *(record.offset + 1 for record in data[-1:])])
        records = [record for record in data if record.offset < span.end]
        if records:
            yield records


def _place_of_end(message: Any, span: OffsetRange) -> int:
    """How far the partition has been read; an end without an offset lies behind `span`."""
    offset: int | None = message.offset()
    return span.end if offset is None else offset


def _is_data(message: Any) -> bool:
    error: KafkaError | None = message.error()
    if error is None:
        return True
    if error.code() != KafkaError._PARTITION_EOF:
        raise BrokerError(f"Kafka refused a read: {error.str()}")
    return False


def _record(message: Any) -> RawRecord:
    return RawRecord(
        message.partition(),
        message.offset(),
        message.timestamp()[1],
        message.key(),
        message.value(),
    )


def end_offsets(ranges: list[OffsetRange]) -> Mapping[int, int]:
    """Partition to the offset after its last record."""
    return {span.partition: span.end for span in ranges}
