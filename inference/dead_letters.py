"""Dead letters read back: list them, show one, send one again once its cause is mended."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from contracts.errors import DataError
from contracts.kafka import OffsetRange, RawRecord, full_ranges, make_producer, read_range
from contracts.messages import Rejected, SourceRef
from contracts.settings import KafkaSettings

REPLAY_HEADER = "replayed_from"
FLUSH_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A rejection and where it stands in the dead-letter topic; `number` is partition:offset."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    rejected: Rejected

    @property
    def number(self) -> str:
        """How commands name it."""
        return f"{self.partition}:{self.offset}"

    @property
    def raw(self) -> bytes:
        """The record as it came."""
        return base64.b64decode(self.rejected.raw)


def read_letters(kafka: KafkaSettings, newest: int | None = None) -> Iterator[DeadLetter]:
    """Dead letters by partition in order; `newest` limits them to the last so many of each.

    Raises:
        BrokerError: Kafka is out of reach.
    """
    for span in full_ranges(kafka, kafka.rejects_topic):
        start = span.start if newest is None else max(span.start, span.end - newest)
        chosen = OffsetRange(span.topic, span.partition, start, span.end)
        for records in read_range(kafka, chosen):
            yield from map(_letter, records)


def _letter(record: RawRecord) -> DeadLetter:
    try:
        rejected = Rejected.model_validate_json(record.value or b"")
    except ValidationError as error:
        rejected = _unreadable(record, error)
    return DeadLetter(record.partition, record.offset, record.timestamp_ms, record.key, rejected)


def _unreadable(record: RawRecord, error: ValidationError) -> Rejected:
    """A record of the dead-letter topic that is no letter, shown as one of itself."""
    here = SourceRef(
        topic="the dead-letter topic", partition=record.partition, offset=record.offset
    )
    return Rejected(
        source=here,
        error_code="not_a_letter",
        error_message=f"{error.error_count()} fields are not those of a dead letter",
        raw=base64.b64encode(record.value or b"").decode(),
    )


def find_letter(kafka: KafkaSettings, number: str) -> DeadLetter:
    """The dead letter at partition:offset.

    Raises:
        DataError: there is none, or `number` is no such pair.
    """
    span = _place(kafka, number)
    for records in read_range(kafka, span):
        return _letter(records[0])
    raise _unknown(number)


def _place(kafka: KafkaSettings, number: str) -> OffsetRange:
    partition, _, offset = number.partition(":")
    if not (partition.isdigit() and offset.isdigit()):
        raise _unknown(number)
    for span in full_ranges(kafka, kafka.rejects_topic):
        if span.partition == int(partition) and span.start <= int(offset) < span.end:
            return OffsetRange(span.topic, span.partition, int(offset), int(offset) + 1)
    raise _unknown(number)


def _unknown(number: str) -> DataError:
    return DataError(
        "there is no such dead letter",
        value=number,
        remedy="Name it as `fraud dlq list` does: partition:offset",
    )


def replay_letter(kafka: KafkaSettings, letter: DeadLetter, value: bytes | None = None) -> None:
    """Send a dead letter's bytes, or mended ones, to its topic again, as a new record.

    The header `replayed_from` names the source of the first attempt. The new record has its own
    coordinates, so it gets its own decision or rejection.

    Raises:
        DataError: the broker did not take it.
    """
    source = letter.rejected.source
    producer = make_producer(kafka)
    producer.produce(
        source.topic,
        key=letter.key,
        value=letter.raw if value is None else value,
        headers={REPLAY_HEADER: f"{source.topic}-{source.partition}:{source.offset}"},
    )
    if producer.flush(FLUSH_SECONDS):
        raise DataError("the broker did not take the record", value=letter.number)
