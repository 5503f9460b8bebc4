"""Labels, outcomes and decisions in columns: bulk parsing of JSON records, bad rows explained.

Arrow reads a batch whole and `contracts.wire_checks` vouches for rows; the others go one by one
through their message class, which alone refuses. So a record's neighbours never matter.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.json as pa_json
from pydantic import ValidationError

from contracts.columns import BadRow
from contracts.messages import Decision, Label, Message, Outcome
from contracts.wire_checks import vouched

FEW_RECORDS = 64
"""Up to so many records are read faster one by one: a bulk read costs two milliseconds at least."""

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


_VERSION = pa.field("schema_version", pa.int64())
_REASON = pa.struct(
    [
        pa.field("code", pa.string()),
        pa.field("contribution", pa.float64()),
        pa.field("feature", pa.string()),
        pa.field("value", pa.float64()),
        pa.field("method", pa.string()),
    ]
)
_REST_OF_DECISION = (
    _VERSION,
    pa.field("amount_minor", pa.int64()),
    pa.field("reasons", pa.list_(_REASON)),
    pa.field("expected_loss_minor", pa.int64()),
    pa.field("feature_set", pa.string()),
    pa.field("policy_version", pa.string()),
    pa.field("is_late", pa.bool_()),
    pa.field("features", pa.list_(pa.float64())),
)


@dataclass(frozen=True, slots=True)
class WireFormat:
    """A message class, the columns kept of it, and the fields that are only checked."""

    message: type[Message]
    schema: pa.Schema
    others: tuple[pa.Field, ...] = (_VERSION,)


LABELS = WireFormat(Label, LABEL_SCHEMA)
OUTCOMES = WireFormat(Outcome, OUTCOME_SCHEMA)
DECISIONS = WireFormat(Decision, DECISION_SCHEMA, _REST_OF_DECISION)


@dataclass(frozen=True, slots=True)
class ParsedRecords:
    """`table` holds the readable records, row i from input `index[i]`; `bad` are the others."""

    table: pa.Table
    index: list[int]
    bad: tuple[BadRow, ...]


def parse_records(values: Sequence[bytes | None], wire: WireFormat) -> ParsedRecords:
    """Read JSON records of one message class; every input is either a row or bad, in order."""
    lines = {row: value for row, value in enumerate(values) if _is_line(value)}
    odd = [row for row in range(len(values)) if row not in lines]
    parts = [*_read_lines(values, list(lines), wire), _read_each(values, odd, wire)]
    parts = [part for part in parts if part.index or part.bad] or parts
    return parts[0] if len(parts) == 1 else _merged(parts)


def _is_line(value: bytes | None) -> bool:
    """Whether Arrow's reader, which sees records only as lines, can tell where this one ends.

    Between a closing and an opening brace stands a comma, or a record ends; so n rows from n such
    lines are one row each.
    """
    return (
        value is not None
        and value[:1] == b"{"
        and value[-1:] == b"}"
        and b"\n" not in value
        and b"\\u0000" not in value
    )


def _read_lines(
    values: Sequence[bytes | None], rows: list[int], wire: WireFormat
) -> Iterator[ParsedRecords]:
    """Read rows in bulk; where that fails, halve, so that few rows are read one by one."""
    if len(rows) <= FEW_RECORDS:
        yield _read_each(values, rows, wire)
        return
    records = [values[row] or b"" for row in rows]
    table = _read_table(records, wire)
    if table is None:
        middle = len(rows) // 2
        yield from _read_lines(values, rows[:middle], wire)
        yield from _read_lines(values, rows[middle:], wire)
        return
    valid = vouched(table, records)
    index = np.asarray(rows)
    kept = table.select(wire.schema.names).filter(pa.array(valid))
    yield ParsedRecords(kept, index[valid].tolist(), ())
    yield _read_each(values, index[~valid].tolist(), wire)


def _read_table(records: Sequence[bytes], wire: WireFormat) -> pa.Table | None:
    """All records at once, or None when some is not JSON with the fields' types and no others."""
    joined = b"\n".join(records)
    try:
        joined.decode()
        table = pa_json.read_json(
            pa.BufferReader(joined),
            read_options=pa_json.ReadOptions(use_threads=False, block_size=len(joined) + 1),
            parse_options=pa_json.ParseOptions(
                explicit_schema=pa.schema([*wire.schema, *wire.others]),
                unexpected_field_behavior="error",
            ),
        )
    except (pa.ArrowInvalid, UnicodeDecodeError):
        return None
    return table if len(table) == len(records) else None


def _merged(parts: Sequence[ParsedRecords]) -> ParsedRecords:
    """Parts of one input, put back into its order."""
    index = np.concatenate([np.asarray(part.index, dtype=np.int64) for part in parts])
    order = np.argsort(index)
    table = pa.concat_tables([part.table for part in parts]).take(pa.array(order))
    bad = sorted((row for part in parts for row in part.bad), key=lambda row: row.index)
    return ParsedRecords(table.combine_chunks(), index[order].tolist(), tuple(bad))


def _read_each(
    values: Sequence[bytes | None], positions: Sequence[int], wire: WireFormat
) -> ParsedRecords:
    rows: list[dict[str, object]] = []
    index: list[int] = []
    bad: list[BadRow] = []
    for position in positions:
        try:
            message = wire.message.model_validate_json(values[position] or b"")
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"]))
            bad.append(BadRow(position, first["type"], f"{place}: {first['msg']}".lstrip(": ")))
            continue
        rows.append(message.model_dump(include=set(wire.schema.names)))
        index.append(position)
    return ParsedRecords(pa.Table.from_pylist(rows, schema=wire.schema), index, tuple(bad))
