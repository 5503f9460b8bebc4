"""Transactions in columns to the integers that the kernel reads."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features import layout
from features.calendar import are_holidays, country_code
from features.hashing import hash_column

_HASH_MASK = np.uint64((1 << layout.HASH_BITS) - 1)
_COORDINATE_UNITS = 10_000
_CHUNK = 1 << 15
"""Rows at a time, so that what is made on the way stays in the processor's cache."""
_CHANNELS = {
    "online": layout.FLAG_ONLINE,
    "contactless": layout.FLAG_CONTACTLESS,
    "atm": layout.FLAG_ATM,
    "chip": layout.FLAG_CHIP,
}


def encode(table: pa.Table) -> NDArray[np.int64]:
    """A table in EVENT_SCHEMA as int64 [n, EVENT_WIDTH]; row i stays row i."""
    events = np.empty((len(table), layout.EVENT_WIDTH), dtype=np.int64)
    for start in range(0, len(table), _CHUNK):
        _encode_into(table.slice(start, _CHUNK), events[start : start + _CHUNK])
    return events


def _encode_into(table: pa.Table, events: NDArray[np.int64]) -> None:
    own_ms = _integers(table["event_time"]) // 1000
    record_ms = _integers(table["timestamp_us"]) // 1000
    events[:, layout.E_TIME] = np.minimum(own_ms, record_ms + layout.FUTURE_ALLOWANCE)
    events[:, layout.E_AMOUNT] = _integers(table["amount_minor"])
    events[:, layout.E_OFFSET] = _integers(table["offset"])
    events[:, layout.E_ID] = _identifiers(table["transaction_id"])
    events[:, layout.E_MERCHANT] = _identifiers(table["merchant_id"])
    events[:, layout.E_DEVICE] = _identifiers(table["device_id"])
    events[:, layout.E_LATITUDE], events[:, layout.E_LONGITUDE] = _places(table)
    _encode_place_and_time(table, events)


def _encode_place_and_time(table: pa.Table, events: NDArray[np.int64]) -> None:
    (countries,) = _coded(table["country"], country_code)
    categories, cash = _coded(table["merchant_category"], _category, _cash_flag)
    (flags,) = _coded(table["channel"], lambda text: _CHANNELS.get(text or "", 0))
    local = events[:, layout.E_TIME] + _integers(table["utc_offset_minutes"]) * layout.MINUTE
    events[:, layout.E_COUNTRY] = countries
    events[:, layout.E_CATEGORY] = categories
    events[:, layout.E_LOCAL] = local
    night = local % layout.DAY < layout.NIGHT_HOURS * layout.HOUR
    holiday = are_holidays(countries, local // layout.DAY)
    events[:, layout.E_FLAGS] = (
        flags + cash + layout.FLAG_NIGHT * night + layout.FLAG_HOLIDAY * holiday
    )


def _category(text: str | None) -> int:
    return int(text or 0)


def _cash_flag(text: str | None) -> int:
    return layout.FLAG_CASH if _category(text) in layout.CASH_CATEGORIES else 0


def _integers(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """A column as int64; null is 0."""
    filled = pc.fill_null(column, 0) if column.null_count else column
    numbers: NDArray[np.int64] = filled.to_numpy().astype(np.int64, copy=False)
    return numbers


def _identifiers(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """The remembered hash of each identifier, never 0; 0 for null."""
    masked = hash_column(column) & _HASH_MASK
    if column.null_count:
        present = ~column.is_null().to_numpy()
        masked[(masked == 0) & present] = 1
    else:
        masked[masked == 0] = 1
    return masked.astype(np.int64)


def _coded(
    column: pa.ChunkedArray, *codes_of: Callable[[str | None], int]
) -> list[NDArray[np.int64]]:
    """A column of few distinct values as integers, once by each function."""
    encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    chunk = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    values, rows = chunk.dictionary.to_pylist(), chunk.indices.to_numpy(zero_copy_only=False)
    return [
        np.array([code_of(value) for value in values], dtype=np.int64)[rows] for code_of in codes_of
    ]


def _places(table: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Latitude and longitude in 1/10,000 degree; both MISSING unless both are known."""
    latitude, longitude = (
        table[name].to_numpy().astype(np.float64) for name in ("latitude", "longitude")
    )
    known = ~(np.isnan(latitude) | np.isnan(longitude))
    return _scaled(latitude, known), _scaled(longitude, known)


def _scaled(degrees: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.int64]:
    rounded = np.rint(np.where(known, degrees, 0.0) * _COORDINATE_UNITS).astype(np.int64)
    return np.where(known, rounded, layout.MISSING)
