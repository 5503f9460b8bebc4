"""Transactions, labels and promises from Kafka, for the tile service."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from contracts.columns import SOURCE_SCHEMA
from contracts.errors import BrokerError
from contracts.frontiers import NEWEST_PROMISES, readable_promise
from contracts.kafka import RawRecord, full_ranges, make_reader
from contracts.settings import KafkaSettings
from contracts.wire import LABELS as LABEL_FORMAT
from contracts.wire import parse_records
from features.history import readable_rows
from features.tile_fold import EVENTS, LABELS, Partition
from features.tile_service import Arrived, QueuedPromises

BATCH_RECORDS = 20_000
POLL_SECONDS = 0.02
FETCH_BYTES, FETCH_WAIT_MS = 65_536, 50
"""Fewer wait a moment at the broker, which would else answer for every single record."""


class KafkaTileSource:
    """One consumer over all partitions; it commits nothing, the store knows the offsets."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._kinds = {kafka.topic: EVENTS, kafka.labels_topic: LABELS}
        self._topics = {kind: topic for topic, kind in self._kinds.items()}
        self._queue = QueuedPromises(self._kinds)
        self._consumer: Any = make_reader(
            kafka, **{"fetch.min.bytes": FETCH_BYTES, "fetch.wait.max.ms": FETCH_WAIT_MS}
        )
        self._spans = [span for t in self._kinds for span in full_ranges(kafka, t)]

    def partitions(self) -> Sequence[Partition]:
        """See `TileSource`."""
        return [(self._kinds[span.topic], span.partition) for span in self._spans]

    def seek(self, offsets: Mapping[Partition, int]) -> None:
        """See `TileSource`; what retention deleted is passed over."""
        firsts = {(self._kinds[s.topic], s.partition): s.start for s in self._spans}
        places = [
            TopicPartition(self._topics[kind], number, max(offset, firsts[kind, number]))
            for (kind, number), offset in offsets.items()
        ]
        promises = full_ranges(self._kafka, self._kafka.frontiers_topic)
        self._queue.heard += sum(span.end > 0 for span in promises)
        for span in promises:
            newest = max(span.start, span.end - NEWEST_PROMISES)
            places.append(TopicPartition(span.topic, span.partition, newest))
        self._consumer.assign(places)

    def poll(self) -> Sequence[Arrived]:
        """See `TileSource`."""
        first = self._consumer.poll(POLL_SECONDS)
        if first is None:
            return []
        messages = [first, *self._consumer.consume(BATCH_RECORDS - 1, 0.0)]
        by_partition: dict[tuple[str, int], list[Any]] = {}
        for message in messages:
            if _is_data(message):
                by_partition.setdefault((message.topic(), message.partition()), []).append(message)
        arrived = []
        for (topic, number), group in by_partition.items():
            if topic in self._kinds:
                arrived.append(self._arrived(topic, number, group))
            else:
                self._hear(group)
        return arrived

    def _hear(self, messages: list[Any]) -> None:
        for message in messages:
            promise = readable_promise(message.value())
            if promise is not None:
                self._queue.hear(promise)

    def promises(self) -> Sequence[tuple[Partition, int, int]]:
        """See `TileSource`."""
        return self._queue.take()

    def idle_ends(self) -> Mapping[Partition, int] | None:
        """See `TileSource`; a topic with promises does not follow the wall."""
        return None if self._queue.heard else self.ends()

    def ends(self) -> dict[Partition, int]:
        """The offset after the last record of each partition now; BrokerError without an answer."""
        places = {
            (kind, number): TopicPartition(self._topics[kind], number)
            for kind, number in self.partitions()
        }
        return {partition: end_of(self._consumer, place) for partition, place in places.items()}

    def known_ends(self) -> dict[Partition, int]:
        """The ends that came with what was read last; nobody is asked."""
        found = {}
        for kind, number in self.partitions():
            place = TopicPartition(self._topics[kind], number)
            _, end = self._consumer.get_watermark_offsets(place, cached=True)
            if end >= 0:
                found[kind, number] = end
        return found

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()

    def _arrived(self, topic: str, number: int, messages: list[Any]) -> Arrived:
        kind, end = self._kinds[topic], messages[-1].offset() + 1
        if kind == LABELS:
            records = [
                RawRecord(number, m.offset(), m.timestamp()[1], m.key(), m.value())
                for m in messages
            ]
            return Arrived((kind, number), labels_of(records), end)
        rows = readable_rows(
            [message.value() for message in messages],
            [number] * len(messages),
            [message.offset() for message in messages],
            [message.timestamp()[1] for message in messages],
        )
        return Arrived((kind, number), rows, end)


def end_of(consumer: Any, place: TopicPartition) -> int:
    """The offset after a partition's last record; BrokerError without an answer."""
    try:
        end: int = consumer.get_watermark_offsets(place, timeout=5.0)[1]
    except KafkaException as error:
        raise BrokerError(
            f"Kafka did not say where {place.topic} ends: {error.args[0].str()}",
            value=place.partition,
            remedy="Check the broker with `fraud status` and its log",
        ) from error
    return end


def labels_of(records: list[RawRecord]) -> pa.Table:
    """The labels among raw records, with their source and in order."""
    parsed = parse_records([record.value for record in records], LABEL_FORMAT)
    chosen = [records[i] for i in parsed.index]
    sources = (
        np.array([record.partition for record in chosen], dtype=np.int32),
        np.array([record.offset for record in chosen], dtype=np.int64),
        np.array([record.timestamp_ms for record in chosen], dtype=np.int64) * 1000,
    )
    columns = [pa.array(column) for column in sources]
    columns += [parsed.table[name].combine_chunks() for name in LABEL_FORMAT.schema.names]
    schema = pa.schema([*SOURCE_SCHEMA, *LABEL_FORMAT.schema])
    return pa.Table.from_arrays(columns, schema=schema)


def _is_data(message: Any) -> bool:
    error: KafkaError | None = message.error()
    if error is None:
        return True
    quiet = (KafkaError._PARTITION_EOF, KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT)
    if error.code() in quiet or error.retriable():
        return False
    raise BrokerError(f"Kafka refused a read: {error.str()}")
