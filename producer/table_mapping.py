"""Rows of a foreign table to transactions and labels, each refused row with its reason."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contracts.columns import SOURCE_SCHEMA, TRANSACTION_SCHEMA
from producer.table_fields import transaction_columns
from producer.table_labels import label_columns
from producer.table_order import SortedRuns
from producer.table_source import RawBatch, RejectedRow, read_batches
from producer.table_spec import TableMapping
from producer.table_verdicts import Verdicts, judge

LABEL_FIELDS = (pa.field("is_fraud", pa.bool_()), pa.field("label_time", pa.int64()))
ROW_SCHEMA = pa.schema([pa.field("row", pa.int64()), *TRANSACTION_SCHEMA, *LABEL_FIELDS])
"""A mapped row: its number in the file, the transaction, and its label (null: none)."""

LABELLED_EVENT_SCHEMA = pa.schema([*SOURCE_SCHEMA, *TRANSACTION_SCHEMA, *LABEL_FIELDS])
"""EVENT_SCHEMA with the label beside it."""


@dataclass(frozen=True, slots=True)
class MappedBatch:
    """`table` has ROW_SCHEMA; `rows` = len(table) + len(rejected)."""

    table: pa.Table
    rejected: tuple[RejectedRow, ...]
    rows: int


def map_file(
    path: Path, mapping: TableMapping, *, limit: int | None = None
) -> Iterator[MappedBatch]:
    """Map the first `limit` rows, or all, in the file's order and in bounded memory.

    Raises:
        DataError: the file is missing or damaged, or lacks a mapped column.
    """
    seen = 0
    for raw in read_batches(path, mapping.required_columns(), mapping.csv):
        part = raw if limit is None else raw.up_to(limit)
        seen += part.rows
        yield map_batch(part, mapping)
        if limit is not None and seen >= limit:
            return


def map_batch(raw: RawBatch, mapping: TableMapping) -> MappedBatch:
    """Map one batch; the values of a refused row are kept as they came."""
    columns = {name: raw.table[name].combine_chunks() for name in raw.table.column_names}
    verdicts = Verdicts.none_yet(len(raw.table))
    mapped = transaction_columns(columns, raw.number, mapping, verdicts)
    mapped |= label_columns(columns, mapped, mapping, verdicts)
    table = pa.table({"row": pa.array(raw.number)} | mapped, schema=ROW_SCHEMA)
    judge(table, verdicts)
    accepted = verdicts.is_accepted
    refused = _refused(raw, verdicts, np.flatnonzero(~accepted))
    rejected = tuple(sorted((*refused, *raw.malformed), key=lambda row: row.row))
    return MappedBatch(table.filter(pa.array(accepted)), rejected, raw.rows)


def _refused(raw: RawBatch, verdicts: Verdicts, places: NDArray[np.int64]) -> list[RejectedRow]:
    rows = raw.table.take(pa.array(places)).to_pylist() if len(places) else []
    return [
        RejectedRow(
            int(raw.number[place]), verdicts.code[place], verdicts.message[place], _shown(values)
        )
        for place, values in zip(places, rows, strict=True)
    ]


def _shown(values: dict[str, object]) -> dict[str, object]:
    """Values as JSON can show them: bytes as text, times in ISO 8601."""
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")[:200]
    is_json = value is None or isinstance(value, bool | int | str)
    return value if is_json else str(value)


def read_events(
    path: Path,
    mapping: TableMapping,
    *,
    limit: int | None = None,
    refused: Callable[[tuple[RejectedRow, ...]], None] | None = None,
) -> Iterator[pa.Table]:
    """The valid rows of a file as `fraud import` would publish them, in time order, without Kafka.

    Tables in LABELLED_EVENT_SCHEMA: one partition 0, offsets counting from 0, record timestamp =
    event time in whole milliseconds. The rows stand sorted on disk, not in memory. `refused` is
    told of each batch's rows that cannot be mapped.
    """
    with tempfile.TemporaryDirectory(prefix="fraud-events-") as folder:
        runs = SortedRuns(Path(folder), "event_time")
        for batch in map_file(path, mapping, limit=limit):
            runs.add(batch.table)
            if refused is not None and batch.rejected:
                refused(batch.rejected)
        offset = 0
        for table in runs.windows():
            yield _as_events(table, offset)
            offset += len(table)


def _as_events(table: pa.Table, offset: int) -> pa.Table:
    count = len(table)
    millis = pc.divide(table["event_time"], 1000)
    source = {
        "partition": pa.array(np.zeros(count, np.int32)),
        "offset": pa.array(np.arange(offset, offset + count)),
        "timestamp_us": pc.multiply(millis, 1000),
    }
    rest = {name: table[name] for name in LABELLED_EVENT_SCHEMA.names if name not in source}
    return pa.table(source | rest, schema=LABELLED_EVENT_SCHEMA)
