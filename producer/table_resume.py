"""Where an import stands: its last record on each partition, read back from Kafka.

Records go to each partition in (timestamp, row) order, acknowledged in that order, and carry that
position in their header `import`. So the last record of a partition tells what it still lacks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from contracts.errors import BrokerError, DataError
from contracts.kafka import OffsetRange, full_ranges, make_reader
from contracts.settings import KafkaSettings
from producer.partition import partition_of

HEADER = "import"
Position = tuple[int, int]
"""Record timestamp in microseconds, row number."""


def mark(import_id: str, position: Position) -> str:
    """The header of a record."""
    return f"{import_id}:{position[0]}:{position[1]}"


@dataclass(frozen=True, slots=True)
class Standing:
    """What a topic holds of an import; a partition that is not in `last` holds nothing of it."""

    partitions: int
    last: Mapping[int, Position]

    def has(self, key: str, position: Position) -> bool:
        """Whether the record of `key` at `position` is on its partition."""
        if not self.last or position > max(self.last.values()):
            return False
        if len(self.last) == self.partitions and position <= min(self.last.values()):
            return True
        partition = partition_of(key.encode(), self.partitions)
        return partition in self.last and position <= self.last[partition]


def find_standing(kafka: KafkaSettings, topic: str, import_id: str, first_us: int) -> Standing:
    """Read the last record of each partition of `topic`.

    Raises:
        DataError: a partition ends with a record of other origin, later than `first_us`: what this
            import has to say would come out of order.
        BrokerError: the topic cannot be read.
    """
    spans = full_ranges(kafka, topic)
    last: dict[int, Position] = {}
    for message in _last_messages(kafka, [span for span in spans if span.end > span.start]):
        position = _position(message, import_id)
        if position is not None:
            last[message.partition()] = position
        elif message.timestamp()[1] > first_us // 1000:
            raise _occupied(topic, message)
    return Standing(len(spans), last)


def _last_messages(kafka: KafkaSettings, spans: list[OffsetRange]) -> list[Any]:
    if not spans:
        return []
    consumer: Consumer = make_reader(kafka)
    try:
        consumer.assign([TopicPartition(s.topic, s.partition, s.end - 1) for s in spans])
        found: dict[int | None, Any] = {}
        for _ in range(60):
            for message in consumer.consume(len(spans), timeout=0.5):
                if message.error() is None:
                    found[message.partition()] = message
            if len(found) == len(spans):
                return list(found.values())
    finally:
        consumer.close()
    raise BrokerError(
        "the last records of a topic did not arrive in 30 s",
        value=spans[0].topic,
        remedy="Check the broker with `fraud status`",
    )


def _position(message: Any, import_id: str) -> Position | None:
    value = dict(message.headers() or ()).get(HEADER)
    parts = value.decode("utf-8", "replace").split(":") if value else []
    if len(parts) != 3 or parts[0] != import_id:
        return None
    return int(parts[1]), int(parts[2])


def _occupied(topic: str, message: Any) -> DataError:
    return DataError(
        f"topic {topic} already ends with later records that this import did not write, so its "
        "rows would come out of order",
        value=f"partition {message.partition()}, offset {message.offset()}",
        remedy="Name other topics (KAFKA_TOPIC, kafka.labels_topic), or empty the local stack with "
        "`fraud down --wipe`; to continue an import, give the same file, mapping, --since or "
        "--last-days, and --limit",
    )
