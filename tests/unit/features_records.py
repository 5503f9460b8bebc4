"""A partition as raw records, some of which nobody can read."""

from collections.abc import Iterator
from typing import Any

import orjson
import pyarrow as pa

from contracts.columns import TRANSACTION_SCHEMA
from contracts.kafka import RawRecord
from features.history import tables_of


def record_of(event: dict[str, Any] | None, offset: int, partition: int = 0) -> RawRecord:
    """An event in EVENT_SCHEMA as a record at another offset; None is a record of no use."""
    if event is None:
        return RawRecord(partition, offset, 0, None, b"{broken")
    body = orjson.dumps({name: event[name] for name in TRANSACTION_SCHEMA.names})
    return RawRecord(partition, offset, event["timestamp_us"] // 1000, None, body)


class RecordHistory:
    """A topic that is a list of records."""

    def __init__(self, records: list[RawRecord]) -> None:
        self._records = records

    def first_offset(self, partition: int) -> int:
        """See `History`."""
        return 0

    def read(self, partition: int, start: int, end: int) -> Iterator[pa.Table]:
        """See `History`; in batches of two records."""
        mine = [r for r in self._records if r.partition == partition and start <= r.offset < end]
        yield from tables_of([mine[i : i + 2] for i in range(0, len(mine), 2)])
