"""A topic's records as Parquet files, one per day of the record timestamp, with stable bytes."""

import hashlib
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contracts.errors import ObjectStoreError
from models.objects import Objects
from models.snapshot_manifest import SnapshotFile, SnapshotPart

DAY_US = 86_400_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WRITERS = 4


def parquet_bytes(table: pa.Table) -> bytes:
    """Parquet whose bytes depend on the rows alone, not on how they were chunked."""
    sink = io.BytesIO()
    whole = table.replace_schema_metadata(None).combine_chunks()
    pq.write_table(whole, sink, compression="zstd", compression_level=1, row_group_size=1 << 20)
    return sink.getvalue()


def write_part(
    objects: Objects,
    folder: str,
    topic: str,
    table: pa.Table,
    records: int,
    unreadable: Counter[str],
) -> SnapshotPart:
    """Write a topic's table by day; `records` counts what was read, readable or not."""
    with ThreadPoolExecutor(_WRITERS) as pool:
        files = tuple(
            pool.map(lambda item: _write(objects, f"{folder}/{item[0]}", item[1]), _by_day(table))
        )
    span = pc.min_max(table["timestamp_us"]).as_py()
    schema = {field.name: str(field.type) for field in table.schema}
    counts = dict(sorted(unreadable.items()))
    return SnapshotPart(topic, files, records, counts, span["min"], span["max"], schema)


def _by_day(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """(file name, rows in (partition, offset) order) per day; an empty topic has one empty file."""
    if len(table) == 0:
        yield "empty.parquet", table
        return
    day = table["timestamp_us"].to_numpy() // DAY_US
    order = np.lexsort((table["offset"].to_numpy(), table["partition"].to_numpy(), day))
    ordered = table.take(pa.array(order))
    days, starts = np.unique(day[order], return_index=True)
    for number, start, end in zip(days, starts, [*starts[1:], len(order)], strict=True):
        date = (_EPOCH + timedelta(days=int(number))).date()
        yield f"day={date}/part-0.parquet", ordered.slice(start, end - start)


def _write(objects: Objects, key: str, table: pa.Table) -> SnapshotFile:
    data = parquet_bytes(table)
    objects.put(key, data)
    return SnapshotFile(key, len(table), hashlib.sha256(data).hexdigest())


def read_part(objects: Objects, part: SnapshotPart) -> pa.Table:
    """All rows in (partition, offset) order, however many days they span.

    Raises:
        ObjectStoreError: a file is missing, or its bytes are not those that were written.
    """
    with ThreadPoolExecutor(_WRITERS) as pool:
        tables = list(pool.map(lambda file: read_file(objects, file), part.files))
    table = pa.concat_tables(tables).combine_chunks()
    return table.take(pc.sort_indices(table, [("partition", "ascending"), ("offset", "ascending")]))


def read_file(
    objects: Objects, file: SnapshotFile, columns: Sequence[str] | None = None
) -> pa.Table:
    """One file's rows in (partition, offset) order, all columns or some.

    Raises:
        ObjectStoreError: the file is missing, or its bytes are not those that were written.
    """
    data = objects.get(file.key)
    if data is None or hashlib.sha256(data).hexdigest() != file.sha256:
        raise ObjectStoreError(
            "a snapshot file is missing or damaged",
            value=file.key,
            remedy="Take a new snapshot under another reference",
        )
    return pq.read_table(io.BytesIO(data), columns=None if columns is None else list(columns))
