"""What `Label`, `Outcome` and `Decision` ask of their fields, checked on whole columns.

A check only says "certainly good": a row that it cannot vouch for goes through its message class.
"""

from collections.abc import Sequence
from typing import get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contracts.messages import (
    MAX_TIME_US,
    MIN_TIME_US,
    SCHEMA_VERSION,
    DecisionKind,
    LabelSource,
    OutcomeKind,
    ReasonMethod,
    Tier,
)

Mask = NDArray[np.bool_]

_TIME = (MIN_TIME_US, MAX_TIME_US - 1)
_RANGES: dict[str, tuple[float, float]] = {
    "schema_version": (SCHEMA_VERSION, SCHEMA_VERSION),
    "event_time": _TIME,
    "label_time": _TIME,
    "outcome_time": _TIME,
    "score": (0.0, 1.0),
    "propensity": (0.0, 1.0),
    "source.partition": (0, 2**31 - 1),
    "source.offset": (0, 2**63 - 1),
}
_IDENTIFIERS = ("transaction_id", "card_id", "merchant_id")
_CHOICES: dict[str, Sequence[str]] = {
    "source": tuple(LabelSource),
    "outcome": tuple(OutcomeKind),
    "decision": tuple(DecisionKind),
    "tier": tuple(Tier),
    "reasons[].method": get_args(ReasonMethod),
}
_NULLABLE = ("score", "reasons[].value", "features[]")


def vouched(table: pa.Table, records: Sequence[bytes]) -> Mask:
    """The rows that their message class accepts for certain; row i was read from `records[i]`."""
    columns = {name: table[name].combine_chunks() for name in table.column_names}
    valid: Mask = np.logical_and.reduce([_holds(*column) for column in columns.items()])
    if "score" in columns:
        valid &= _is_written("score", columns["score"].is_null(), 1, records)
    if "reasons" in columns:
        count = pc.fill_null(pc.list_value_length(columns["reasons"]), 0).to_numpy()
        valid &= _is_written("value", pc.greater(count, 0), count, records)
    return valid


def _holds(place: str, column: pa.Array) -> Mask:
    """Whether each value is one that the message class accepts at `place`."""
    present: Mask = column.is_valid().to_numpy(zero_copy_only=False)
    if pa.types.is_struct(column.type):
        names = [f"{place}.{field.name}" for field in column.type]
        fields = [_holds(*field) for field in zip(names, column.flatten(), strict=True)]
        whole: Mask = np.logical_and.reduce([present, *fields])
        return whole
    if pa.types.is_list(column.type):
        bad = ~_holds(f"{place}[]", column.flatten())
        present = present.copy()
        present[pc.list_parent_indices(column).to_numpy()[bad]] = False
        return present
    holds: Mask = pc.fill_null(_bound(place, column), True).to_numpy(zero_copy_only=False)
    return holds if place in _NULLABLE else holds & present


def _bound(place: str, column: pa.Array) -> pa.Array:
    """Whether each value is within its bounds; null where it is null."""
    if place in _RANGES:
        low, high = _RANGES[place]
        return pc.and_(pc.greater_equal(column, low), pc.less_equal(column, high))
    if place in _IDENTIFIERS:
        length = pc.utf8_length(column)
        return pc.and_(pc.greater_equal(length, 1), pc.less_equal(length, 64))
    if place in _CHOICES:
        return pc.is_in(column, pa.array(_CHOICES[place], pa.string()))
    return pc.is_finite(column) if pa.types.is_floating(column.type) else column.is_valid()


def _is_written(
    key: str, asked: pa.Array, count: int | NDArray[np.int32], records: Sequence[bytes]
) -> Mask:
    """Whether the rows asked for name `key` so often: Arrow reads a missing field as a null.

    No object has a key twice or a key of another's, and a quote in a text is escaped; so the bytes
    tell. A key spelt otherwise is not found, and its row is not vouched for.
    """
    sign = f'"{key}":'.encode()
    rows = np.flatnonzero(asked.to_numpy(zero_copy_only=False))
    wanted = np.broadcast_to(count, len(records))
    written = np.ones(len(records), dtype=np.bool_)
    written[rows] = [records[row].count(sign) == wanted[row] for row in rows.tolist()]
    return written
