"""Where a feature server reads the past from: records of one partition, as events."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa

from contracts.columns import TRANSACTION_SCHEMA, parse_transactions, with_source
from contracts.kafka import OffsetRange, RawRecord, full_ranges, read_range
from contracts.settings import KafkaSettings
from contracts.transaction_rows import EventRows

BATCH_RECORDS = 100_000
"""A table ends where the offset is a multiple of it, so that two reads cut alike."""


class History(Protocol):
    """Past events of a topic, by partition."""

    def first_offset(self, partition: int) -> int:
        """The first offset that is still there."""

    def read(self, partition: int, start: int, end: int) -> Iterator[pa.Table]:
        """Events with start <= offset < end in offset order, unreadable records left out.

        No table is empty; where nothing can be read there is none.
        """


class NoHistory:
    """A topic that holds nothing yet."""

    def first_offset(self, partition: int) -> int:
        """See `History`."""
        return 0

    def read(self, partition: int, start: int, end: int) -> Iterator[pa.Table]:
        """See `History`."""
        return iter(())


class KafkaHistory:
    """The transactions topic itself."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka

    def first_offset(self, partition: int) -> int:
        """See `History`."""
        spans = full_ranges(self._kafka, self._kafka.topic)
        return next(span.start for span in spans if span.partition == partition)

    def read(self, partition: int, start: int, end: int) -> Iterator[pa.Table]:
        """See `History`."""
        span = OffsetRange(self._kafka.topic, partition, start, end)
        yield from tables_of(read_range(self._kafka, span, batch_size=BATCH_RECORDS))


def tables_of(
    batches: Iterable[list[RawRecord]], table_records: int = BATCH_RECORDS
) -> Iterator[pa.Table]:
    """The events of one partition's records; the tables do not depend on how the batches fell."""
    records = itertools.chain.from_iterable(batches)
    for _, group in itertools.groupby(records, lambda record: record.offset // table_records):
        events = events_of(list(group))
        if len(events):
            yield events


def cut_alike(tables: Iterable[pa.Table], table_records: int = BATCH_RECORDS) -> Iterator[pa.Table]:
    """One partition's events in offset order, cut as `tables_of` cuts them."""
    parts: list[pa.Table] = []
    for table in tables:
        groups = table["offset"].to_numpy() // table_records
        edges = np.flatnonzero(np.diff(groups)) + 1
        for start, end in itertools.pairwise([0, *edges.tolist(), len(table)]):
            if parts and parts[-1]["offset"][-1].as_py() // table_records != groups[start]:
                yield pa.concat_tables(parts)
                parts = []
            parts.append(table.slice(start, end - start))
    if parts:
        yield pa.concat_tables(parts)


def readable_rows(
    values: Sequence[bytes | None],
    partitions: Sequence[int],
    offsets: Sequence[int],
    timestamps_ms: Sequence[int],
) -> EventRows:
    """The transactions among records, in order."""
    parsed = parse_transactions(values)
    rows = parsed.index
    return EventRows(
        parsed.rows,
        np.array(partitions, dtype=np.int32)[rows],
        np.array(offsets, dtype=np.int64)[rows],
        np.array(timestamps_ms, dtype=np.int64)[rows] * 1000,
    )


def events_of(records: Sequence[RawRecord]) -> pa.Table:
    """The transactions among raw records, in EVENT_SCHEMA and in order."""
    found = readable_rows(
        [record.value for record in records],
        [record.partition for record in records],
        [record.offset for record in records],
        [record.timestamp_ms for record in records],
    )
    table = found.rows.table(TRANSACTION_SCHEMA)
    return with_source(table, found.partitions, found.offsets, found.timestamps_us)
