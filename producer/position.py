"""What the topics hold already: read back from Kafka, which alone remembers."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from contracts.errors import BrokerError, SettingsError
from contracts.kafka import OffsetRange, RawRecord, full_ranges, read_range
from contracts.settings import KafkaSettings, WorldSettings
from producer.spec import DAY_US, WorldSpec, spec_from

_OWN_ID = re.compile(r"([0-9a-f]{8})-([0-9]{5,})-([0-9]{7})")
_HEAD_RECORDS = 1_000
_TAIL_RECORDS = 256


@dataclass(frozen=True, slots=True)
class Sent:
    """A synthetic transaction found on the topic: its world's fingerprint, day, row and time."""

    fingerprint: str
    sequence: tuple[int, int]
    event_us: int

    @property
    def start_day(self) -> int:
        """The day since the epoch on which its world began."""
        return self.event_us // DAY_US - self.sequence[0]


@dataclass(frozen=True, slots=True)
class Position:
    """Where publishing stands; `last` holds the last (day, row) of each partition that has one."""

    partitions: int
    last: dict[int, Sent]

    @property
    def resume_day(self) -> int:
        """The first world day of which something may be missing."""
        if len(self.last) < self.partitions:
            return 0
        return min(sent.sequence[0] for sent in self.last.values())

    @property
    def resume_us(self) -> int | None:
        """The event time up to which everything has been sent; None when nothing was."""
        if not self.last:
            return None
        return max(sent.event_us for sent in self.last.values())

    def has(self, partition: int, sequence: tuple[int, int]) -> bool:
        """Whether a purchase is on its partition: they are sent in order and acknowledged so."""
        sent = self.last.get(partition)
        return sent is not None and sequence <= sent.sequence


def find_world(kafka: KafkaSettings, world: WorldSettings) -> WorldSpec | None:
    """The world on the transactions topic, None when the topic is empty.

    Raises:
        SettingsError: the topic holds a world that other settings made.
        BrokerError: the topic cannot be read, or holds something that is not ours.
    """
    spans = [span for span in full_ranges(kafka, kafka.topic) if span.end > span.start]
    if not spans:
        return None
    for span in spans:
        first = next((sent for sent in map(_sent, _head(kafka, span)) if sent is not None), None)
        if first is not None:
            return _checked(world, first)
    raise BrokerError(
        "the topic already holds transactions that no synthetic world made",
        value=kafka.topic,
        remedy="Name another KAFKA_TOPIC, or empty the local stack with `fraud down --wipe`",
    )


def _checked(world: WorldSettings, first: Sent) -> WorldSpec:
    spec = spec_from(world, first.start_day)
    if spec.fingerprint != first.fingerprint:
        raise SettingsError(
            "the topic holds a world made with another seed, size, rate or version of this code",
            value=first.fingerprint,
            remedy="Restore world.* in config/config.yaml, or empty it with `fraud down --wipe`",
        )
    return spec


def read_position(kafka: KafkaSettings, spec: WorldSpec) -> Position:
    """Look at the end of every partition for the last transaction of this world."""
    spans = full_ranges(kafka, kafka.topic)
    found = {span.partition: _last_sent(kafka, span, spec.fingerprint) for span in spans}
    last = {partition: sent for partition, sent in found.items() if sent is not None}
    return Position(len(spans), last)


def _head(kafka: KafkaSettings, span: OffsetRange) -> Iterator[RawRecord]:
    end = min(span.end, span.start + _HEAD_RECORDS)
    for records in read_range(kafka, OffsetRange(span.topic, span.partition, span.start, end)):
        yield from records


def _last_sent(kafka: KafkaSettings, span: OffsetRange, fingerprint: str) -> Sent | None:
    """Read backwards in growing steps: other writers may have written after us."""
    end, step = span.end, _TAIL_RECORDS
    while end > span.start:
        start = max(span.start, end - step)
        window = OffsetRange(span.topic, span.partition, start, end)
        records = [record for batch in read_range(kafka, window) for record in batch]
        ours = [sent for sent in map(_sent, records) if sent and sent.fingerprint == fingerprint]
        if ours:
            return max(ours, key=lambda sent: sent.sequence)
        end, step = start, step * 8
    return None


def _sent(record: RawRecord) -> Sent | None:
    try:
        message = orjson.loads(record.value or b"")
    except orjson.JSONDecodeError:
        return None
    if not isinstance(message, dict) or not isinstance(message.get("event_time"), int):
        return None
    match = _OWN_ID.fullmatch(str(message.get("transaction_id")))
    if match is None:
        return None
    fingerprint, day, row = match.groups()
    return Sent(fingerprint, (int(day), int(row)), message["event_time"])


def known_ids(kafka: KafkaSettings, topic: str) -> set[tuple[str, str]]:
    """(transaction id, label source) of every record on a topic of labels or truth."""
    known: set[tuple[str, str]] = set()
    for span in full_ranges(kafka, topic):
        for records in read_range(kafka, span):
            known.update(filter(None, map(_identity, records)))
    return known


def _identity(record: RawRecord) -> tuple[str, str] | None:
    try:
        message = orjson.loads(record.value or b"")
    except orjson.JSONDecodeError:
        return None
    if not isinstance(message, dict):
        return None
    return str(message.get("transaction_id")), str(message.get("source", ""))
