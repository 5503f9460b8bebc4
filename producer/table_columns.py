"""Foreign columns to ours: times, money, numbers, text. What cannot be read becomes null.

Whole columns are converted at once; where one value spoils that, the column goes value by value.
"""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from producer.table_spec import AmountSpec, TimeSpec

UNREADABLE = "\ufffd"
"""Stands for bytes that are no text; whoever judges the text refuses it."""
_UNIT_US = {"seconds": 1_000_000, "milliseconds": 1_000, "microseconds": 1}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def text(column: pa.Array) -> pa.Array:
    """The column as trimmed text; whole floats lose their `.0`, an empty text is null."""
    words = _float_text(column) if pa.types.is_floating(column.type) else _decoded(column)
    trimmed = pc.utf8_trim_whitespace(words)
    return pc.if_else(pc.equal(trimmed, ""), None, trimmed)


def _float_text(column: pa.Array) -> pa.Array:
    """Pandas makes floats of whole ids when some are missing."""
    values = pc.if_else(pc.is_nan(column), None, column.cast(pa.float64()))
    is_whole = pc.and_(pc.equal(values, pc.round(values)), pc.less(pc.abs(values), 2.0**53))
    whole = pc.if_else(is_whole, values, None).cast(pa.int64())
    return pc.if_else(is_whole, whole.cast(pa.string()), values.cast(pa.string()))


def _decoded(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        return _each(column, _lenient, pa.string())


def _lenient(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _each(column: pa.Array, read: Callable[[object], object], kind: pa.DataType) -> pa.Array:
    """The slow path: `read` one value after the other; None where it cannot."""

    def attempt(value: object) -> object:
        try:
            return None if value is None else read(value)
        except (ValueError, OverflowError):
            return None

    return pa.array([attempt(value) for value in column.to_pylist()], kind)


def number(column: pa.Array) -> pa.Array:
    """The column as float64; NaN is null."""
    values = text(column) if _is_text(column) else column
    try:
        floats = values.cast(pa.float64(), safe=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        floats = _each(values, lambda value: float(str(value)), pa.float64())
    return pc.if_else(pc.is_nan(floats), None, floats)


def _is_text(column: pa.Array) -> bool:
    kind = column.type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind)) or bool(
        pa.types.is_binary(kind) or pa.types.is_dictionary(kind)
    )


def whole_number(column: pa.Array) -> pa.Array:
    """The column as int64; null where it has a fraction."""
    values = number(column)
    return pc.if_else(pc.equal(values, pc.round(values)), values, None).cast(pa.int64(), safe=False)


def amount_minor(column: pa.Array, spec: AmountSpec) -> pa.Array:
    """Integer minor units, rounded to the nearest; null where the value is no finite number.

    A column said to hold minor units must hold integers: a fraction is null too.
    """
    values = number(column)
    scaled = values if spec.unit == "minor" else pc.multiply(values, float(10**spec.decimals))
    rounded = pc.round(scaled, round_mode="half_towards_infinity")
    is_usable = pc.less(pc.abs(rounded), 2.0**53)
    if spec.unit == "minor":
        is_usable = pc.and_(is_usable, pc.equal(scaled, rounded))
    return pc.if_else(is_usable, rounded, None).cast(pa.int64(), safe=False)


def time_us(column: pa.Array, spec: TimeSpec) -> pa.Array:
    """Microseconds since the epoch, UTC; null where the value is no time."""
    if spec.unit != "datetime":
        return _counted(column, spec)
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("us"))
    if pa.types.is_timestamp(column.type):
        return _from_timestamp(column, spec)
    if spec.format is not None:
        parsed = pc.strptime(text(column), format=spec.format, unit="us", error_is_null=True)
        return _from_timestamp(parsed, spec)
    return _from_iso(text(column), spec)


def _counted(column: pa.Array, spec: TimeSpec) -> pa.Array:
    values = number(column)
    origin = spec.origin or _EPOCH
    aware = origin if origin.tzinfo else origin.replace(tzinfo=ZoneInfo(spec.zone))
    start_us = round((aware - _EPOCH).total_seconds() * 1_000_000)
    micros = pc.round(pc.multiply(values, float(_UNIT_US[spec.unit])))
    micros = pc.if_else(pc.less(pc.abs(micros), 2.0**53), micros, None)
    return pc.add(micros.cast(pa.int64()), start_us)


def _from_timestamp(column: pa.Array, spec: TimeSpec) -> pa.Array:
    micros = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    if column.type.tz is None and spec.zone != "UTC":
        micros = pc.assume_timezone(micros, spec.zone, ambiguous="earliest", nonexistent="earliest")
    return micros.cast(pa.int64())


def _from_iso(values: pa.Array, spec: TimeSpec) -> pa.Array:
    for kind in (pa.timestamp("us"), pa.timestamp("us", "UTC")):
        try:
            return _from_timestamp(values.cast(kind), spec)
        except pa.ArrowInvalid:
            continue
    zone = ZoneInfo(spec.zone)
    return _each(values, lambda value: _iso_us(str(value), zone), pa.int64())


def _iso_us(value: str, zone: ZoneInfo) -> int:
    moment = datetime.fromisoformat(value)
    aware = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    whole = aware.astimezone(UTC) - _EPOCH
    return (whole.days * 86_400 + whole.seconds) * 1_000_000 + whole.microseconds


def is_one_of(column: pa.Array, values: tuple[str | int | float | bool, ...]) -> pa.Array:
    """Which rows hold one of `values`, as text or as a number; null where the row holds nothing."""
    words = text(column)
    found = pc.is_in(pc.utf8_lower(words), pa.array([str(v).lower() for v in _plain(values)]))
    return pc.if_else(pc.is_null(words), None, found)


def _plain(values: tuple[str | int | float | bool, ...]) -> list[object]:
    """Values and, for whole floats, the integer that the column's text shows."""
    whole = [int(v) for v in values if isinstance(v, float) and math.isfinite(v) and v == int(v)]
    return [*values, *whole]


def is_null(column: pa.Array, *, is_nan_null: bool = False) -> NDArray[np.bool_]:
    """Which rows are null, as a mask."""
    nulls = pc.is_null(column, nan_is_null=is_nan_null)
    mask: NDArray[np.bool_] = nulls.to_numpy(zero_copy_only=False)
    return mask
