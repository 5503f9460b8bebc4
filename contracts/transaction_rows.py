"""Transactions as arrays: what kernels read, and Arrow where a table is wanted."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts import transaction_kernel as kernel
from contracts.messages import (
    MAX_AMOUNT_MINOR,
    MAX_TIME_US,
    MIN_TIME_US,
    SCHEMA_VERSION,
    Channel,
    Transaction,
)
from contracts.raw_memory import address_of
from contracts.transaction_kernel import NULL_NUMBER, NULL_SPAN

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

TEXTS = (
    "transaction_id",
    "card_id",
    "merchant_id",
    "device_id",
    "ip_prefix",
    "merchant_category",
    "currency",
    "country",
    "channel",
)
"""Fields of text, in the order of `TransactionRows.spans`."""
NUMBERS = ("schema_version", "event_time", "amount_minor", "utc_offset_minutes")
REALS = ("latitude", "longitude")
PLACES = len(TEXTS) + len(REALS)

(
    TRANSACTION_ID,
    CARD_ID,
    MERCHANT_ID,
    DEVICE_ID,
    IP_PREFIX,
    MERCHANT_CATEGORY,
    CURRENCY,
    COUNTRY,
    CHANNEL,
) = range(len(TEXTS))
VERSION, EVENT_TIME, AMOUNT_MINOR, UTC_OFFSET_MINUTES = range(len(NUMBERS))
LATITUDE, LONGITUDE = range(len(REALS))

REQUIRED = (
    "schema_version",
    "transaction_id",
    "event_time",
    "card_id",
    "merchant_id",
    "amount_minor",
)
IDENTIFIERS = ("transaction_id", "card_id", "merchant_id", "device_id", "ip_prefix")
RANGES: dict[str, tuple[int, int]] = {
    "schema_version": (SCHEMA_VERSION, SCHEMA_VERSION),
    "event_time": (MIN_TIME_US, MAX_TIME_US - 1),
    "amount_minor": (-MAX_AMOUNT_MINOR, MAX_AMOUNT_MINOR),
    "utc_offset_minutes": (-840, 840),
    "latitude": (-90, 90),
    "longitude": (-180, 180),
}
"""Of numbers: smallest and largest."""
_FORMS: dict[str, tuple[int, int, int]] = {
    "merchant_category": (4, 4, kernel.DIGITS),
    "currency": (3, 3, kernel.CAPITALS),
    "country": (2, 2, kernel.CAPITALS),
    "channel": (1, 64, kernel.CHOICE),
}
"""Of texts that are no identifiers: shortest, longest, form."""


@dataclass(frozen=True)
class Fields:
    """What the kernel is told of the fields: see its `F_` columns."""

    table: Ints
    names: Bytes
    choices: Bytes
    choice_bounds: Ints

    @cached_property
    def addresses(self) -> tuple[int, int]:
        """Of names and choices."""
        return address_of(self.names), address_of(self.choices)


@cache
def fields() -> Fields:
    """The fields of `Transaction` in its order, which is the order that writers use."""
    names = tuple(Transaction.model_fields)
    ends = np.cumsum([0, *map(len, names)])
    rows = [(a, b, *_field(name)) for name, a, b in zip(names, ends, ends[1:], strict=False)]
    channels = [channel.value for channel in Channel]
    bounds = np.cumsum([0, *map(len, channels)]).astype(np.int64)
    table = np.array(rows, dtype=np.int64)
    return Fields(table, _bytes("".join(names)), _bytes("".join(channels)), bounds)


def _field(name: str) -> tuple[int, ...]:
    is_required = int(name in REQUIRED)
    if name in NUMBERS:
        return (kernel.INTEGER, NUMBERS.index(name), is_required, *RANGES[name], kernel.ANY)
    if name in REALS:
        return (kernel.REAL, REALS.index(name), is_required, *RANGES[name], kernel.ANY)
    low, high, form = _FORMS.get(name, (1, 64, kernel.ANY))
    return (kernel.TEXT, TEXTS.index(name), is_required, low, high, form)


def _bytes(text: str) -> Bytes:
    return np.frombuffer(text.encode(), dtype=np.uint8)


class Text(NamedTuple):
    """A field of n rows: row i is content[starts[i]:ends[i]], both NULL_SPAN for null."""

    content: Bytes
    starts: Ints
    ends: Ints


@dataclass(frozen=True, slots=True)
class TransactionRows:
    """n transactions. Field f of row i is text[spans[i, f, 0]:spans[i, f, 1]], both -1 for null.

    `numbers` is int64 [n, 4], NULL_NUMBER for null; `reals` is float64 [n, 2], NaN for null.
    """

    text: Bytes
    spans: Ints
    numbers: Ints
    reals: Floats

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, rows: Ints | NDArray[np.bool_]) -> "TransactionRows":
        """Some of the rows."""
        return TransactionRows(self.text, self.spans[rows], self.numbers[rows], self.reals[rows])

    def text_of(self, field: int) -> Text:
        """One field of text, of all rows."""
        return Text(self.text, self.spans[:, field, 0], self.spans[:, field, 1])

    def word(self, row: int, field: int) -> str | None:
        """One field of text."""
        start, end = self.spans[row, field].tolist()
        return None if start == NULL_SPAN else self.text[start:end].tobytes().decode()

    def words(self, field: int, rows: Ints | slice = slice(None)) -> list[bytes]:
        """A field of text that is never null, as bytes per row, or for some rows."""
        content = self.text.tobytes()
        return [content[start:end] for start, end in self.spans[rows, field].tolist()]

    def array(self, name: str) -> pa.Array:
        """A field as an Arrow array."""
        if name in TEXTS:
            return _strings(self.text, self.spans[:, TEXTS.index(name)])
        if name in REALS:
            reals = self.reals[:, REALS.index(name)]
            return pa.array(reals, pa.float64(), mask=np.isnan(reals))
        numbers = self.numbers[:, NUMBERS.index(name)]
        return pa.array(numbers, pa.int64(), mask=numbers == NULL_NUMBER)

    def table(self, schema: pa.Schema) -> pa.Table:
        """The transactions as a table in TRANSACTION_SCHEMA."""
        return pa.Table.from_arrays([self.array(name) for name in schema.names], schema=schema)


def _strings(text: Bytes, spans: Ints) -> pa.Array:
    lengths = spans[:, 1] - spans[:, 0]
    offsets = np.zeros(len(spans) + 1, dtype=np.int32)
    np.cumsum(lengths, out=offsets[1:])
    data = kernel.gathered(text, np.ascontiguousarray(spans), int(offsets[-1]))
    is_valid = spans[:, 0] != NULL_SPAN
    validity = None if is_valid.all() else pa.py_buffer(np.packbits(is_valid, bitorder="little"))
    buffers = [validity, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.string(), len(spans), buffers)


def string_buffers(column: pa.Array | pa.ChunkedArray) -> tuple[Bytes, Ints]:
    """A string column as its bytes and its n + 1 boundaries; nulls are empty strings."""
    if len(column) == 0:
        return _bytes("\0"), np.zeros(1, dtype=np.int64)
    array = _in_one_piece(column)
    width = 4 if pa.types.is_string(array.type) else 8
    _, offsets, data = array.buffers()
    bounds = np.frombuffer(offsets, dtype=f"i{width}")[array.offset : array.offset + len(array) + 1]
    content = _bytes("\0") if data is None else np.frombuffer(data, dtype=np.uint8)
    return content, bounds.astype(np.int64)


def _in_one_piece(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A string column as one array, which needs wide offsets where it was several."""
    if isinstance(column, pa.ChunkedArray) and column.num_chunks == 1:
        column = column.chunk(0)
    if isinstance(column, pa.Array) and pa.types.is_string(column.type):
        return column
    wide = column.cast(pa.large_string())
    combined = wide.combine_chunks() if isinstance(wide, pa.ChunkedArray) else wide
    return combined.chunk(0) if isinstance(combined, pa.ChunkedArray) else combined


def text_of(column: pa.Array | pa.ChunkedArray) -> Text:
    """A string column as kernels read it."""
    content, bounds = string_buffers(column)
    if not column.null_count:
        return Text(content, bounds[:-1], bounds[1:])
    is_null = column.is_null().to_numpy(zero_copy_only=False)
    return Text(content, *(np.where(is_null, NULL_SPAN, at) for at in (bounds[:-1], bounds[1:])))


def rows_of(table: pa.Table) -> TransactionRows:
    """The transactions of a table that has the columns of TRANSACTION_SCHEMA."""
    size = len(table)
    spans = np.full((size, PLACES, 2), NULL_SPAN, dtype=np.int64)
    numbers = np.empty((size, len(NUMBERS)), dtype=np.int64)
    reals = np.empty((size, len(REALS)))
    parts, at = [], 0
    for field, name in enumerate(TEXTS if size else ()):
        column = table[name]
        content, bounds = string_buffers(column)
        parts.append(content[bounds[0] : bounds[-1]])
        places = bounds - bounds[0] + at
        spans[:, field, 0], spans[:, field, 1] = places[:-1], places[1:]
        if column.null_count:
            spans[column.is_null().to_numpy(), field] = NULL_SPAN
        at += len(parts[-1])
    for field, name in enumerate(NUMBERS):
        numbers[:, field] = _filled(table[name], NULL_NUMBER)
    for field, name in enumerate(REALS):
        reals[:, field] = _filled(table[name], np.nan)
    return TransactionRows(_fixed(np.concatenate([*parts, _bytes("\0")])), spans, numbers, reals)


def _fixed(text: Bytes) -> Bytes:
    """Text that nobody may write, as what was read: kernels are compiled for one kind."""
    text.flags.writeable = False
    return text


def _filled(column: pa.Array | pa.ChunkedArray, missing: float) -> NDArray[Any]:
    filled = column.fill_null(missing) if column.null_count else column
    values: NDArray[Any] = filled.to_numpy()
    return values


@dataclass(frozen=True, slots=True)
class EventRows:
    """Transactions and where their records stand in Kafka, row by row."""

    rows: TransactionRows
    partitions: NDArray[np.int32]
    offsets: Ints
    timestamps_us: Ints

    def __len__(self) -> int:
        return len(self.offsets)

    def take(self, rows: Ints) -> "EventRows":
        """Some of the events."""
        sources = (self.partitions[rows], self.offsets[rows], self.timestamps_us[rows])
        return EventRows(self.rows.take(rows), *sources)


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Rows of a table in EVENT_SCHEMA, read where they are."""

    batch: pa.RecordBatch

    def __len__(self) -> int:
        return len(self.batch)

    def text(self, name: str) -> Text:
        """A field of text."""
        return text_of(self.batch[name])

    def numbers(self, name: str) -> NDArray[Any]:
        """A field of numbers, or where records stand; NULL_NUMBER or NaN for null."""
        return _filled(self.batch[name], np.nan if name in REALS else NULL_NUMBER)


def events_of(table: pa.Table) -> EventRows:
    """The events of a table in EVENT_SCHEMA."""
    sources = (table[name].to_numpy() for name in ("partition", "offset", "timestamp_us"))
    return EventRows(rows_of(table), *sources)


def joined(parts: Sequence[TransactionRows]) -> TransactionRows:
    """Rows of several, one after the other."""
    shifts = np.cumsum([0, *(len(part.text) for part in parts)])
    spans = [
        np.where(part.spans == NULL_SPAN, NULL_SPAN, part.spans + shift)
        for part, shift in zip(parts, shifts, strict=False)
    ]
    return TransactionRows(
        _fixed(np.concatenate([part.text for part in parts])),
        np.concatenate(spans),
        np.concatenate([part.numbers for part in parts]),
        np.concatenate([part.reals for part in parts]),
    )
