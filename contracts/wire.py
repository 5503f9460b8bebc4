"""Labels, outcomes and decisions in columns: bulk parsing of JSON records, bad rows explained.

Arrow reads a whole batch; when it cannot, or a required field is missing, each record of the batch
goes through its message class, which alone refuses.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pa_json
from pydantic import ValidationError

from contracts.columns import BadRow
from contracts.messages import Decision, Label, Message, Outcome

LABEL_SCHEMA = pa.schema(
    [
        pa.field("transaction_id", pa.string()),
        pa.field("card_id", pa.string()),
        pa.field("merchant_id", pa.string()),
        pa.field("event_time", pa.int64()),
        pa.field("is_fraud", pa.bool_()),
        pa.field("label_time", pa.int64()),
        pa.field("source", pa.string()),
    ]
)
OUTCOME_SCHEMA = pa.schema(
    [
        pa.field("transaction_id", pa.string()),
        pa.field("card_id", pa.string()),
        pa.field("event_time", pa.int64()),
        pa.field("outcome", pa.string()),
        pa.field("outcome_time", pa.int64()),
    ]
)
_SOURCE_REF = pa.struct(
    [
        pa.field("topic", pa.string()),
        pa.field("partition", pa.int64()),
        pa.field("offset", pa.int64()),
    ]
)
DECISION_SCHEMA = pa.schema(
    [
        pa.field("transaction_id", pa.string()),
        pa.field("card_id", pa.string()),
        pa.field("event_time", pa.int64()),
        pa.field("score", pa.float64()),
        pa.field("decision", pa.string()),
        pa.field("model_version", pa.string()),
        pa.field("tier", pa.string()),
        pa.field("is_duplicate", pa.bool_()),
        pa.field("control", pa.bool_()),
        pa.field("propensity", pa.float64()),
        pa.field("source", _SOURCE_REF),
    ]
)


@dataclass(frozen=True, slots=True)
class WireFormat:
    """A message class, the columns kept of it, and those that may be null."""

    message: type[Message]
    schema: pa.Schema
    nullable: tuple[str, ...] = ()


LABELS = WireFormat(Label, LABEL_SCHEMA)
OUTCOMES = WireFormat(Outcome, OUTCOME_SCHEMA)
DECISIONS = WireFormat(Decision, DECISION_SCHEMA, nullable=("score",))


@dataclass(frozen=True, slots=True)
class ParsedRecords:
    """`table` holds the readable records, row i from input `index[i]`; `bad` are the others."""

    table: pa.Table
    index: list[int]
    bad: tuple[BadRow, ...]


def parse_records(values: Sequence[bytes | None], wire: WireFormat) -> ParsedRecords:
    """Read JSON records of one message class; every input is either a row or bad."""
    table = _read_all(values, wire)
    if table is not None:
        return ParsedRecords(table, list(range(len(values))), ())
    return _read_each(values, wire)


def _read_all(values: Sequence[bytes | None], wire: WireFormat) -> pa.Table | None:
    if not values or any(value is None or b"\n" in value for value in values):
        return None
    joined = b"\n".join(value for value in values if value is not None)
    try:
        table = pa_json.read_json(
            pa.BufferReader(joined),
            read_options=pa_json.ReadOptions(use_threads=False, block_size=len(joined) + 1),
            parse_options=pa_json.ParseOptions(
                explicit_schema=wire.schema, unexpected_field_behavior="ignore"
            ),
        )
    except pa.ArrowInvalid:
        return None
    complete = len(table) == len(values) and _has_required(table, wire)
    return table.select(wire.schema.names) if complete else None


def _has_required(table: pa.Table, wire: WireFormat) -> bool:
    required = [name for name in wire.schema.names if name not in wire.nullable]
    return all(pc.all(pc.is_valid(table[name])).as_py() for name in required)


def _read_each(values: Sequence[bytes | None], wire: WireFormat) -> ParsedRecords:
    rows: list[dict[str, object]] = []
    index: list[int] = []
    bad: list[BadRow] = []
    for position, value in enumerate(values):
        try:
            message = wire.message.model_validate_json(value or b"")
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"]))
            bad.append(BadRow(position, first["type"], f"{place}: {first['msg']}".lstrip(": ")))
            continue
        rows.append(message.model_dump(include=set(wire.schema.names)))
        index.append(position)
    return ParsedRecords(pa.Table.from_pylist(rows, schema=wire.schema), index, tuple(bad))
