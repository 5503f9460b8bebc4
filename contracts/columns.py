"""Transactions in bulk: JSON records to arrays, with every bad record explained.

A kernel reads the records that it can vouch for. The others go one by one through `Transaction`
itself, which alone decides and words the refusal, so both paths accept the same records with the
same values.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import ValidationError

from contracts.messages import Channel, Transaction
from contracts.raw_memory import address_of
from contracts.transaction_kernel import DOUBT, LONG_REAL, read_rows
from contracts.transaction_rows import (
    IDENTIFIERS,
    NUMBERS,
    PLACES,
    RANGES,
    REALS,
    REQUIRED,
    TEXTS,
    TransactionRows,
    fields,
    joined,
    rows_of,
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

_PATTERNS = {
    "merchant_category": r"^[0-9]{4}$",
    "currency": r"^[A-Z]{3}$",
    "country": r"^[A-Z]{2}$",
}


@dataclass(frozen=True, slots=True)
class BadRow:
    """A record that is no transaction: its index in the input, and why."""

    index: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class ParsedTransactions:
    """`rows[i]` is input `index[i]`; `bad` are the others."""

    rows: TransactionRows
    index: NDArray[np.int64]
    bad: tuple[BadRow, ...]

    @property
    def table(self) -> pa.Table:
        """The rows in TRANSACTION_SCHEMA, made anew at each call."""
        return self.rows.table(TRANSACTION_SCHEMA)


def parse_transactions(values: Sequence[bytes | None]) -> ParsedTransactions:
    """Read JSON records; every input index ends up either in `index` or in `bad`, in order."""
    rows, verdicts, odd = _read_all(values)
    index = np.arange(len(values))
    if not odd:
        return ParsedTransactions(rows, index, ())
    for row in np.flatnonzero(verdicts == LONG_REAL).tolist():
        _read_reals(rows, verdicts, row)
    doubtful = (verdicts & DOUBT) != 0
    if not doubtful.any():
        return ParsedTransactions(rows, index, ())
    good, good_index, bad = _read_each(values, np.flatnonzero(doubtful).tolist())
    places = np.array([*index[~doubtful].tolist(), *good_index], dtype=np.int64)
    order = np.argsort(places)
    return ParsedTransactions(joined([rows.take(~doubtful), good]).take(order), places[order], bad)


def _read_all(
    values: Sequence[bytes | None],
) -> tuple[TransactionRows, NDArray[np.int64], int]:
    """What the kernel reads, its verdict on each row, and how many of them are not plain."""
    size, known = len(values), fields()
    texts = [value or b"" for value in values]
    text = np.frombuffer(b"".join([*texts, b"\0"]), dtype=np.uint8)
    bounds = np.array([0, *accumulate(map(len, texts))], dtype=np.int64)
    spans = np.empty((size, PLACES, 2), dtype=np.int64)
    numbers = np.empty((size, len(NUMBERS)), dtype=np.int64)
    reals, verdicts = np.empty((size, len(REALS))), np.empty(size, dtype=np.int64)
    odd = read_rows(
        address_of(text), bounds, MAX_RECORD_BYTES, known.table, *known.addresses,
        known.choice_bounds, spans, numbers, reals, verdicts,
    )  # fmt: skip
    return TransactionRows(text, spans, numbers, reals), verdicts, odd


def _read_reals(rows: TransactionRows, verdicts: NDArray[np.int64], row: int) -> None:
    """Doubles of any length, as Python rounds them; one beyond its bounds is doubtful."""
    for column, name in enumerate(REALS):
        start, end = rows.spans[row, len(TEXTS) + column].tolist()
        if start >= 0:
            rows.reals[row, column] = value = float(rows.text[start:end].tobytes())
            low, high = RANGES[name]
            verdicts[row] |= DOUBT * (not low <= value <= high)


def field_checks(table: pa.Table) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Each bound of `Transaction` on a table in TRANSACTION_SCHEMA: field, and the rows that hold.

    A field may come more than once; a row is a transaction when it holds in every check.
    """
    for name in REQUIRED:
        yield name, pc.is_valid(table[name]).to_numpy()
    for name, (low, high) in RANGES.items():
        yield name, _within(table[name], low, high).to_numpy()
    for name in IDENTIFIERS:
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


def _read_each(
    values: Sequence[bytes | None], positions: Sequence[int]
) -> tuple[TransactionRows, list[int], tuple[BadRow, ...]]:
    """Records that `Transaction` reads, their positions, and what it says of the others."""
    good: list[dict[str, object]] = []
    index: list[int] = []
    bad: list[BadRow] = []
    for position in positions:
        parsed = _read_one(position, values[position])
        if isinstance(parsed, BadRow):
            bad.append(parsed)
        else:
            good.append(parsed.model_dump())
            index.append(position)
    return rows_of(pa.Table.from_pylist(good, schema=TRANSACTION_SCHEMA)), index, tuple(bad)


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
