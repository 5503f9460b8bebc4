"""Spark's Kafka rows to source batches and answers back to Kafka rows, as Arrow record batches."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from inference.records import BATCH_HEADER, SENT_HEADER, Answers, SourceBatch

HEADER = pa.struct([pa.field("key", pa.string()), pa.field("value", pa.binary())])
ANSWER_SCHEMA = pa.schema(
    [
        pa.field("topic", pa.string()),
        pa.field("key", pa.binary()),
        pa.field("value", pa.binary()),
        pa.field("headers", pa.list_(HEADER)),
    ]
)
"""What Spark's Kafka sink writes; `topic` routes each row."""

ANSWER_DDL = (
    "topic string, key binary, value binary, headers array<struct<key: string, value: binary>>"
)
SOURCE_COLUMNS = ("key", "value", "partition", "offset", "timestamp", "headers")


def source_batch(rows: pa.RecordBatch) -> SourceBatch:
    """Rows of Spark's Kafka source with `SOURCE_COLUMNS`, each partition's together, in order."""
    timestamps = rows.column("timestamp").cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    return SourceBatch(
        partitions=rows.column("partition").to_numpy(),
        offsets=rows.column("offset").to_numpy(),
        timestamps_us=timestamps.to_numpy(),
        keys=rows.column("key").to_pylist(),
        values=rows.column("value").to_pylist(),
        sent=header_values(rows.column("headers"), SENT_HEADER),
    )


def header_values(headers: pa.ListArray, name: str) -> list[bytes | None]:
    """A header's value per row; the last one where it is repeated, None where it is absent."""
    found: list[bytes | None] = [None] * len(headers)
    entries = headers.flatten()
    if len(entries) == 0:
        return found
    chosen = pc.equal(entries.field("key"), name)
    rows = headers.value_parent_indices().filter(chosen).to_pylist()
    for row, value in zip(rows, entries.field("value").filter(chosen).to_pylist(), strict=True):
        found[row] = value
    return found


def answer_rows(answers: Answers, batch_id: int) -> pa.RecordBatch:
    """Answers as rows for Spark's Kafka sink, each with its headers."""
    columns = [
        pa.array(answers.topics, pa.string()),
        pa.array(answers.keys, pa.binary()),
        pa.array(answers.values, pa.binary()),
        _headers(answers.sent, str(batch_id).encode()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=ANSWER_SCHEMA)


def _headers(sent: Sequence[bytes | None], batch_id: bytes) -> pa.ListArray:
    """`batch_id` on every record, `sent_us` on those that came with it."""
    sizes = np.fromiter((1 if value is None else 2 for value in sent), np.int32, len(sent))
    keys: list[str] = []
    values: list[bytes] = []
    for value in sent:
        keys.append(BATCH_HEADER)
        values.append(batch_id)
        if value is not None:
            keys.append(SENT_HEADER)
            values.append(value)
    entries = pa.StructArray.from_arrays(
        [pa.array(keys, pa.string()), pa.array(values, pa.binary())], fields=list(HEADER)
    )
    offsets = np.concatenate(([0], np.cumsum(sizes))).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), entries, type=pa.list_(HEADER))
