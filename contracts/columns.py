"""Transactions in columns: bulk parsing of JSON records into Arrow, with every bad row explained.

The fast path reads rows with Arrow's JSON reader and checks the bounds of `Transaction` on whole
columns. Rows it cannot vouch for go one by one through `Transaction` itself, which alone decides
and words the refusal, so both paths accept the same rows with the same values.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pa_json
from numpy.typing import NDArray
from pydantic import ValidationError

from contracts.messages import (
    MAX_AMOUNT_MINOR,
    MAX_TIME_US,
    MIN_TIME_US,
    SCHEMA_VERSION,
    Channel,
    Transaction,
)

TRANSACTION_SCHEMA = pa.schema(
    [
        pa.field("schema_version", pa.int64()),
        pa.field("transaction_id", pa.string()),
        pa.field("event_time", pa.int64()),
        pa.field("card_id", pa.string()),
        pa.field("merchant_id", pa.string()),
        pa.field("amount_minor", pa.int64()),
        pa.field("merchant_category", pa.string()),
        pa.field("currency", pa.string()),
        pa.field("utc_offset_minutes", pa.int64()),
        pa.field("country", pa.string()),
        pa.field("latitude", pa.float64()),
        pa.field("longitude", pa.float64()),
        pa.field("channel", pa.string()),
        pa.field("device_id", pa.string()),
        pa.field("ip_prefix", pa.string()),
    ]
)
"""Arrow's view of `Transaction`; a test holds the two together."""

SOURCE_SCHEMA = pa.schema(
    [
        pa.field("partition", pa.int32()),
        pa.field("offset", pa.int64()),
        pa.field("timestamp_us", pa.int64()),
    ]
)
"""Where a transaction's record stands in Kafka: partition, offset, record timestamp."""

EVENT_SCHEMA = pa.schema([*SOURCE_SCHEMA, *TRANSACTION_SCHEMA])
"""A transaction with its source: what snapshots hold and what the feature engine reads."""

MAX_RECORD_BYTES = 16_384
FEW_RECORDS = 64
"""Up to so many records are read faster one by one: a bulk read costs two milliseconds at least."""

_REQUIRED = (
    "schema_version",
    "transaction_id",
    "event_time",
    "card_id",
    "merchant_id",
    "amount_minor",
)
_IDENTIFIERS = ("transaction_id", "card_id", "merchant_id", "device_id", "ip_prefix")
_PATTERNS = {
    "merchant_category": r"^[0-9]{4}$",
    "currency": r"^[A-Z]{3}$",
    "country": r"^[A-Z]{2}$",
}
_RANGES: dict[str, tuple[float, float]] = {
    "schema_version": (SCHEMA_VERSION, SCHEMA_VERSION),
    "event_time": (MIN_TIME_US, MAX_TIME_US - 1),
    "amount_minor": (-MAX_AMOUNT_MINOR, MAX_AMOUNT_MINOR),
    "utc_offset_minutes": (-840, 840),
    "latitude": (-90.0, 90.0),
    "longitude": (-180.0, 180.0),
}


@dataclass(frozen=True, slots=True)
class BadRow:
    """A record that is no transaction: its index in the input, and why."""

    index: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class ParsedTransactions:
    """`table` has TRANSACTION_SCHEMA, its row i is input `index[i]`; `bad` are the others."""

    table: pa.Table
    index: NDArray[np.int64]
    bad: tuple[BadRow, ...]


def parse_transactions(values: Sequence[bytes | None]) -> ParsedTransactions:
    """Read JSON records; every input index ends up either in `index` or in `bad`, in order."""
    if len(values) <= FEW_RECORDS:
        return _read_each(values, range(len(values)))
    plain = [row for row, value in enumerate(values) if _is_plain(value)]
    parts = list(_read_plain(values, plain))
    if len(plain) < len(values):
        odd = sorted(set(range(len(values))).difference(plain))
        parts.append(_read_each(values, odd))
    return parts[0] if len(parts) == 1 else _merged(parts)


def _is_plain(value: bytes | None) -> bool:
    """Whether Arrow's reader, which sees records only as lines, can tell where this one ends.

    Fields are no objects, so a line that begins with a brace begins a record; n rows from n such
    lines are one row each.
    """
    return (
        value is not None
        and len(value) <= MAX_RECORD_BYTES
        and value[:1] == b"{"
        and b"\n" not in value
        and b"\\u0000" not in value
    )


def _read_plain(
    values: Sequence[bytes | None], rows: Sequence[int]
) -> Iterator[ParsedTransactions]:
    """Read rows in bulk; where that fails, halve, so that few rows are read one by one."""
    if len(rows) <= FEW_RECORDS:
        yield _read_each(values, rows)
        return
    table = _read_table([values[row] or b"" for row in rows])
    if table is None:
        middle = len(rows) // 2
        yield from _read_plain(values, rows[:middle])
        yield from _read_plain(values, rows[middle:])
        return
    index = np.asarray(rows, dtype=np.int64)
    valid = _is_valid(table)
    if valid.all():
        yield ParsedTransactions(table, index, ())
        return
    yield ParsedTransactions(table.filter(pa.array(valid)), index[valid], ())
    yield _read_each(values, index[~valid].tolist())


def _read_table(values: Sequence[bytes]) -> pa.Table | None:
    """All rows at once, or None when some row is not plain single-line JSON of the schema."""
    joined = b"\n".join(values)
    try:
        joined.decode()
        table = pa_json.read_json(
            pa.BufferReader(joined),
            read_options=pa_json.ReadOptions(use_threads=False, block_size=len(joined) + 1),
            parse_options=pa_json.ParseOptions(
                explicit_schema=TRANSACTION_SCHEMA, unexpected_field_behavior="error"
            ),
        )
    except (pa.ArrowInvalid, UnicodeDecodeError):
        return None
    return table if len(table) == len(values) else None


def _merged(parts: Sequence[ParsedTransactions]) -> ParsedTransactions:
    """Parts of one input, put back into its order."""
    index = np.concatenate([part.index for part in parts])
    order = np.argsort(index)
    table = pa.concat_tables([part.table for part in parts]).take(pa.array(order))
    bad = sorted((row for part in parts for row in part.bad), key=lambda row: row.index)
    return ParsedTransactions(table.combine_chunks(), index[order], tuple(bad))


def _is_valid(table: pa.Table) -> NDArray[np.bool_]:
    valid: NDArray[np.bool_] = np.logical_and.reduce([held for _, held in field_checks(table)])
    return valid


def field_checks(table: pa.Table) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Each bound of `Transaction` on a table in TRANSACTION_SCHEMA: field, and the rows that hold.

    A field may come more than once; a row is a transaction when it holds in every check.
    """
    for name in _REQUIRED:
        yield name, pc.is_valid(table[name]).to_numpy()
    for name, (low, high) in _RANGES.items():
        yield name, _within(table[name], low, high).to_numpy()
    for name in _IDENTIFIERS:
        yield name, _within(pc.utf8_length(table[name]), 1, 64).to_numpy()
    for name, pattern in _PATTERNS.items():
        yield name, _or_null(pc.match_substring_regex(table[name], pattern)).to_numpy()
    channels = pa.array([channel.value for channel in Channel])
    known = pc.or_(pc.is_null(table["channel"]), pc.is_in(table["channel"], channels))
    yield "channel", known.to_numpy()


def _within(column: pa.ChunkedArray, low: float, high: float) -> pa.ChunkedArray:
    return _or_null(pc.and_(pc.greater_equal(column, low), pc.less_equal(column, high)))


def _or_null(check: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.fill_null(check, True)


def _read_each(values: Sequence[bytes | None], rows: Iterable[int]) -> ParsedTransactions:
    good: list[dict[str, object]] = []
    index: list[int] = []
    bad: list[BadRow] = []
    for position in rows:
        parsed = _read_one(position, values[position])
        if isinstance(parsed, BadRow):
            bad.append(parsed)
        else:
            good.append(parsed.model_dump())
            index.append(position)
    table = pa.Table.from_pylist(good, schema=TRANSACTION_SCHEMA)
    return ParsedTransactions(table, np.asarray(index, dtype=np.int64), tuple(bad))


def _read_one(position: int, value: bytes | None) -> Transaction | BadRow:
    if value is None:
        return BadRow(position, "empty", "the record has no value")
    if len(value) > MAX_RECORD_BYTES:
        limit = f"the record has {len(value)} bytes; at most {MAX_RECORD_BYTES} are read"
        return BadRow(position, "too_large", limit)
    try:
        return Transaction.model_validate_json(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "record"
        code = "not_json" if first["type"] == "json_invalid" else "invalid_field"
        return BadRow(position, code, f"{place}: {first['msg']}, got {first['input']!r:.120}")


def with_source(
    table: pa.Table,
    partition: NDArray[np.int32],
    offset: NDArray[np.int64],
    timestamp_us: NDArray[np.int64],
) -> pa.Table:
    """Put the source columns before transactions in TRANSACTION_SCHEMA: EVENT_SCHEMA."""
    sources = [pa.array(partition, pa.int32()), pa.array(offset), pa.array(timestamp_us)]
    columns = [*sources, *(table[name] for name in TRANSACTION_SCHEMA.names)]
    return pa.Table.from_arrays(columns, schema=EVENT_SCHEMA)
