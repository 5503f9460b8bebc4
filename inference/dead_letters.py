"""Dead letters read back: list them, show one, send one again once its cause is mended."""

import base64
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from contracts.delivery import Delivery
from contracts.errors import DataError
from contracts.frontiers import LIVE_MS, newest_promises
from contracts.kafka import OffsetRange, RawRecord, full_ranges, make_producer, read_range
from contracts.messages import Rejected, SourceRef
from contracts.settings import KafkaSettings

REPLAY_HEADER = "replayed_from"
NOT_A_LETTER = "not_a_letter"
NEWEST_RECORDS = 1_000
"""Timestamps of a topic are nearly in order: the newest one is among so many last records."""
ANY_PARTITION = -1


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
        error_code=NOT_A_LETTER,
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
        BrokerError: Kafka is out of reach or did not take it.
        DataError: the record is no dead letter.
    """
    refuse_foreign(letter)
    source = letter.rejected.source
    stamp_ms = replay_stamp_ms(
        newest_stamps(kafka, source.topic),
        source.partition,
        _promised_ms(kafka, source.topic),
        time.time_ns() // 1_000_000,
    )
    send_again(Delivery(make_producer(kafka), "the record"), letter, value, stamp_ms)


def refuse_foreign(letter: DeadLetter) -> None:
    """DataError for a record of the dead-letter topic that names no topic to send it to."""
    if letter.rejected.error_code == NOT_A_LETTER:
        raise DataError(
            "this record of the dead-letter topic is no dead letter: it names no source",
            value=letter.number,
            remedy="Send its bytes to the topic that they are meant for",
        )


def send_again(delivery: Delivery, letter: DeadLetter, value: bytes | None, stamp_ms: int) -> None:
    """Send it with this timestamp, and wait until it has arrived; BrokerError when it has not."""
    source = letter.rejected.source
    delivery.send(
        source.topic,
        letter.key,
        letter.raw if value is None else value,
        partition=source.partition if letter.key is None else ANY_PARTITION,
        timestamp=stamp_ms,
        headers=[(REPLAY_HEADER, f"{source.topic}-{source.partition}:{source.offset}")],
    )
    delivery.finish()


def replay_stamp_ms(
    newest: Mapping[int, int], partition: int, promised_ms: int | None, now_ms: int
) -> int:
    """The timestamp of a record sent now to a topic whose time may not be the wall's.

    `newest` is the newest timestamp of each partition with records. On a live topic it is now. A
    backfilled, imported or lapsing one keeps its time: now would lift the partition's clock over
    all that is still to come, and less than what was promised would come too late for its tile.
    """
    last = max(newest.values(), default=now_ms)
    if promised_ms is None and now_ms - last <= LIVE_MS:
        return now_ms
    return max(newest.get(partition, last), promised_ms or 0)


def newest_stamps(kafka: KafkaSettings, topic: str) -> dict[int, int]:
    """The largest timestamp among each partition's last records, milliseconds."""
    newest: dict[int, int] = {}
    for span in full_ranges(kafka, topic):
        start = max(span.start, span.end - NEWEST_RECORDS)
        for records in read_range(kafka, OffsetRange(topic, span.partition, start, span.end)):
            stamps = [newest.get(span.partition, 0), *(record.timestamp_ms for record in records)]
            newest[span.partition] = max(stamps)
    return newest


def _promised_ms(kafka: KafkaSettings, topic: str) -> int | None:
    promises = [promise for promise in newest_promises(kafka) if topic in promise.ends]
    return max((promise.until_ms for promise in promises), default=None)
