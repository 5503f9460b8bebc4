"""Bulk parsing: whatever the mixture of records, each is read as `Transaction` alone reads it."""

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.columns import (
    MAX_RECORD_BYTES,
    TRANSACTION_SCHEMA,
    ParsedTransactions,
    parse_transactions,
    with_source,
)
from contracts.messages import Transaction

GOOD: dict[str, Any] = {
    "schema_version": 1,
    "transaction_id": "t1",
    "event_time": 1_750_000_000_000_000,
    "card_id": "c1",
    "merchant_id": "m1",
    "amount_minor": 1234,
    "merchant_category": "5411",
    "currency": "EUR",
    "utc_offset_minutes": 60,
    "country": "FR",
    "latitude": 48.85,
    "longitude": 2.35,
    "channel": "chip",
    "device_id": None,
    "ip_prefix": None,
}
ODD_VALUES: tuple[Any, ...] = (
    None,
    "",
    "x" * 65,
    "é" * 64,
    "12345",
    "FR\n",
    "fr",
    "\u0000",
    'q"\\',
    0,
    1,
    -1,
    1.0,
    1e3,
    91.0,
    -840,
    2**63,
    2**63 - 1,
    True,
    [],
    {},
    {"a": 1},
)
RAW: tuple[bytes | None, ...] = (
    None,
    b"",
    b" ",
    b"null",
    b"[]",
    b"{}",
    b"{broken",
    b"\xff\xfe\x00",
    b'{"transaction_id":"\xff"}',
    b'{"transaction_id":"\\ud800"}',
    b"x" * (MAX_RECORD_BYTES + 1),
    b'{"schema_version":1,',
    b'"transaction_id":"t"}',
)


def encoded(**changes: Any) -> bytes:
    """A good transaction with some fields changed."""
    return orjson.dumps(GOOD | changes, option=orjson.OPT_PASSTHROUGH_DATACLASS)


def padded(values: list[bytes | None]) -> list[bytes | None]:
    """The values among good ones."""
    return [*values, encoded()]


def read_alone(value: bytes | None) -> dict[str, Any] | None:
    """What `Transaction` says of one record; None where it refuses."""
    if value is None or len(value) > MAX_RECORD_BYTES:
        return None
    try:
        return Transaction.model_validate_json(value).model_dump(mode="json")
    except ValidationError:
        return None


def rows(parsed: ParsedTransactions) -> dict[int, dict[str, Any]]:
    """Input index to the row that was read."""
    return dict(zip(parsed.index.tolist(), parsed.table.to_pylist(), strict=True))


def assert_as_alone(values: list[bytes | None]) -> None:
    """Every index is good or bad exactly as alone, with the same values, in order."""
    parsed = parse_transactions(values)
    expected = {i: row for i, v in enumerate(values) if (row := read_alone(v)) is not None}
    assert parsed.table.schema == TRANSACTION_SCHEMA
    assert rows(parsed) == expected
    bad = [row.index for row in parsed.bad]
    assert bad == sorted(set(range(len(values))) - expected.keys())
    assert np.all(np.diff(parsed.index) > 0)


odd_field = st.builds(
    lambda name, value: _try_encoded({name: value}),
    st.sampled_from(tuple(GOOD)),
    st.sampled_from(ODD_VALUES),
)
missing_field = st.builds(
    lambda name: orjson.dumps({k: v for k, v in GOOD.items() if k != name}),
    st.sampled_from(tuple(GOOD)),
)
cut_short = st.builds(lambda n: encoded()[:n], st.integers(0, len(encoded())))
record = st.one_of(
    st.just(encoded()),
    st.sampled_from(RAW),
    odd_field,
    missing_field,
    cut_short,
    st.binary(max_size=40),
    st.builds(lambda x: encoded(extra=x), st.integers(0, 9)),
)


def _try_encoded(changes: dict[str, Any]) -> bytes:
    return encoded(**changes) if changes != {} else encoded()


@given(st.lists(record, max_size=12))
@settings(max_examples=100, deadline=None)
def test_a_bulk_read_agrees_with_reading_each_alone(values: list[bytes | None]) -> None:
    """Among many good records, odd ones are accepted or refused as alone, with equal values."""
    assert_as_alone(padded(values))


@given(st.lists(record, max_size=6))
@settings(max_examples=40, deadline=None)
def test_a_short_read_agrees_with_reading_each_alone(values: list[bytes | None]) -> None:
    """Few records take the other path, to the same end."""
    assert_as_alone(values)


@pytest.mark.parametrize(
    "values",
    [
        [encoded() + encoded(), b""],
        [encoded() + encoded(), b" "],
        [encoded()[:-1] + b",", b'"extra":1}'],
        [encoded()[:-1], b"}"],
        [encoded() + b"\n" + encoded()],
        [b" " + encoded()],
        [encoded() + b" "],
        [encoded(transaction_id="a\nb")],
        [b'{"card_id":"c","card_id":"d",' + encoded()[1:]],
        [encoded(amount_minor=1).replace(b":1,", b":01,")],
    ],
)
def test_records_cannot_borrow_from_their_neighbours(values: list[bytes | None]) -> None:
    """Two objects in a record, or one object over two, never shift the rows behind them."""
    assert_as_alone(padded(values))


def test_one_bad_record_does_not_send_the_others_down_the_slow_path() -> None:
    """Good rows around a bad one keep their places and their values."""
    values: list[bytes | None] = [encoded(transaction_id=f"t{i}") for i in range(1_000)]
    values[500] = b"{bad"
    parsed = parse_transactions(values)
    assert [row.index for row in parsed.bad] == [500]
    ids = parsed.table["transaction_id"].to_pylist()
    assert ids == [f"t{i}" for i in parsed.index.tolist()]
    assert len(ids) == 999


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "empty"),
        (b"{bad", "not_json"),
        (b"x" * (MAX_RECORD_BYTES + 1), "too_large"),
        (encoded(amount_minor="12"), "invalid_field"),
    ],
)
def test_every_refusal_has_a_code_and_names_the_place(value: bytes | None, code: str) -> None:
    """Codes are few; the message says which field and what was found."""
    bad = parse_transactions(padded([value])).bad[0]
    assert (bad.index, bad.code) == (0, code)
    assert "amount_minor" in bad.message if code == "invalid_field" else bad.message


def test_source_columns_stand_before_the_transaction() -> None:
    """Partition, offset and timestamp join the parsed rows in EVENT_SCHEMA's order."""
    table = parse_transactions([encoded()]).table
    event = with_source(
        table,
        np.array([3], dtype=np.int32),
        np.array([17], dtype=np.int64),
        np.array([5], dtype=np.int64),
    )
    first = event.to_pylist()[0]
    assert list(first)[:4] == ["partition", "offset", "timestamp_us", "schema_version"]
    assert (first["partition"], first["offset"], first["timestamp_us"]) == (3, 17, 5)


@pytest.mark.parametrize("name", tuple(GOOD))
def test_every_odd_value_in_every_field_is_judged_as_alone(name: str) -> None:
    """One odd field in a record that is otherwise good, each among good neighbours."""
    for value in ODD_VALUES:
        assert_as_alone(padded([encoded(**{name: value})]))
