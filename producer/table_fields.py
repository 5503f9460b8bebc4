"""The columns of a transaction from the columns of a foreign table."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contracts.columns import TRANSACTION_SCHEMA
from contracts.messages import SCHEMA_VERSION
from producer import table_columns as read
from producer.table_spec import TableMapping
from producer.table_verdicts import Verdicts

REQUIRED = ("transaction_id", "event_time", "card_id", "merchant_id", "amount")


def transaction_columns(
    columns: dict[str, pa.Array],
    number: NDArray[np.int64],
    mapping: TableMapping,
    verdicts: Verdicts,
) -> dict[str, pa.Array]:
    """Every column of a transaction; objections against what is missing or cannot be read."""
    named = mapping.columns.named()
    out: dict[str, pa.Array] = {}
    for field in TRANSACTION_SCHEMA:
        source = "amount" if field.name == "amount_minor" else field.name
        if source not in named:
            out[field.name] = _unmapped(field, number, mapping)
            continue
        raw = columns[named[source]]
        out[field.name] = _field(field.name, raw, mapping)
        _object(source, named[source], raw, out[field.name], verdicts)
    if mapping.amount.negative == "reject":
        negative = pc.less(out["amount_minor"], 0)
        verdicts.refuse(negative, "negative_amount", "the amount is negative; see amount.negative")
    return out


def _field(name: str, raw: pa.Array, mapping: TableMapping) -> pa.Array:
    if name == "event_time":
        return read.time_us(raw, mapping.time)
    if name == "amount_minor":
        return read.amount_minor(raw, mapping.amount)
    if name == "utc_offset_minutes":
        return read.whole_number(raw)
    if name in ("latitude", "longitude"):
        return read.number(raw)
    return _text_field(name, raw, mapping)


def _text_field(name: str, raw: pa.Array, mapping: TableMapping) -> pa.Array:
    words = read.text(raw)
    if name in mapping.values:
        translation = mapping.values[name]
        place = pc.index_in(words, pa.array(list(translation)))
        words = pc.coalesce(pa.array(list(translation.values())).take(place), words)
    if name == "merchant_category":
        return pc.utf8_lpad(words, 4, "0")
    return pc.utf8_upper(words) if name in ("country", "currency") else words


def _unmapped(field: pa.Field, number: NDArray[np.int64], mapping: TableMapping) -> pa.Array:
    count = len(number)
    if field.name == "schema_version":
        return pa.array(np.full(count, SCHEMA_VERSION))
    if field.name == "transaction_id":
        return pc.binary_join_element_wise("row-", pa.array(number).cast(pa.string()), "")
    value = mapping.constants.given().get(field.name)
    return pa.nulls(count, field.type) if value is None else pa.array([value] * count, field.type)


def _object(source: str, column: str, raw: pa.Array, ours: pa.Array, verdicts: Verdicts) -> None:
    """Object to a required value that is missing, and to any value that could not be read."""
    is_absent = _absent(raw)
    if source in REQUIRED:
        verdicts.refuse(is_absent, f"missing_{source}", f"column {column} is empty")
    unreadable = ~is_absent & read.is_null(ours)
    verdicts.refuse(unreadable, f"bad_{source}", f"column {column} cannot be read as {source}")


def _absent(raw: pa.Array) -> NDArray[np.bool_]:
    if pa.types.is_primitive(raw.type):
        return read.is_null(raw, is_nan_null=True)
    return read.is_null(read.text(raw))
