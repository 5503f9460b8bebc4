"""Labels, outcomes and decisions in bulk: each is read as its message class alone reads it."""

from functools import lru_cache
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.wire import DECISIONS, FEW_RECORDS, LABELS, OUTCOMES, WireFormat, parse_records

T0_US = 1_750_000_000_000_000
REASON: dict[str, Any] = {
    "code": "R1",
    "contribution": 0.25,
    "feature": "amount",
    "value": 12.5,
    "method": "path",
}
GOOD: dict[str, dict[str, Any]] = {
    "label": {
        "schema_version": 1,
        "transaction_id": "t1",
        "card_id": "c1",
        "merchant_id": "m1",
        "event_time": T0_US,
        "is_fraud": True,
        "label_time": T0_US + 1,
        "source": "chargeback",
    },
    "outcome": {
        "schema_version": 1,
        "transaction_id": "t1",
        "card_id": "c1",
        "event_time": T0_US,
        "outcome": "authorised",
        "outcome_time": T0_US + 1,
    },
    "decision": {
        "schema_version": 1,
        "transaction_id": "t1",
        "card_id": "c1",
        "event_time": T0_US,
        "amount_minor": 1234,
        "score": 0.5,
        "decision": "review",
        "reasons": [REASON, REASON | {"value": None, "method": "rule"}],
        "expected_loss_minor": 17,
        "model_version": "3",
        "feature_set": "abc",
        "policy_version": "p",
        "tier": "model",
        "is_late": False,
        "is_duplicate": False,
        "control": False,
        "propensity": 1.0,
        "source": {"topic": "transactions", "partition": 0, "offset": 7},
        "features": [1, 2.5, None],
    },
}
FORMATS: dict[str, WireFormat] = {"label": LABELS, "outcome": OUTCOMES, "decision": DECISIONS}
NAMES = tuple(GOOD)
ODD_VALUES: tuple[Any, ...] = (
    None,
    "",
    "typo",
    "x" * 65,
    "é" * 64,
    "\u0000",
    'q"\\',
    '"score":null',
    0,
    1,
    2,
    -1,
    1.0,
    1.5,
    1e300,
    T0_US // 1000,
    2**31,
    2**63,
    2**63 - 1,
    True,
    "true",
    "1",
    [],
    [None],
    [1, "1"],
    {},
    {"a": 1},
    [REASON],
    [{k: v for k, v in REASON.items() if k != "value"}],
    [{k: v for k, v in REASON.items() if k != "code"}],
    [REASON | {"method": "guess"}],
    [REASON | {"extra": 1}],
    [REASON | {"contribution": None}],
    [REASON | {"contribution": "0.5"}],
    {"topic": "t", "partition": 0, "offset": 2**63},
    {"topic": "t", "partition": -1, "offset": 0},
    {"topic": "t", "partition": 1, "offset": 3.0},
    {"topic": None, "partition": 1, "offset": 3},
    {"topic": "t", "partition": 1},
)
RAW: tuple[bytes | None, ...] = (
    None,
    b"",
    b" ",
    b"null",
    b"[]",
    b"{}",
    b"{broken",
    b"{broken}",
    b"\xff\xfe\x00",
    b'{"transaction_id":"\xff"}',
)
SPELT_ODDLY = (
    (b'"score":0.5', b'"score":NaN'),
    (b'"propensity":1.0', b'"propensity":Infinity'),
    (b'"contribution":0.25', b'"contribution":Inf'),
    (b'"contribution":0.25', b'"contribution":NaN'),
    (b"2.5", b"1e400"),
    (b'"score":0.5', b'"sc\\u006fre":null'),
    (b'"score":0.5', b'"score" : null'),
    (b'"t1"', b'"\\ud800"'),
    (b'"t1"', b'"\xff"'),
    (b'"t1"', b'"t\n1"'),
    (b'"card_id":"c1"', b'"card_id":"c1","card_id":"c2"'),
    (b'"card_id":"c1"', b'"card_id":"c1"\n'),
    (b"}", b"} "),
    (b'"value":null', b'"value":null,"value":1'),
)


def encoded(name: str, **changes: Any) -> bytes:
    """A good record with some fields changed."""
    return orjson.dumps(GOOD[name] | changes)


@lru_cache(maxsize=10_000)
def read_alone(value: bytes | None, name: str) -> dict[str, Any] | None:
    """What the message class says of one record, as a row; None where it refuses."""
    wire = FORMATS[name]
    try:
        message = wire.message.model_validate_json(value or b"")
    except ValidationError:
        return None
    row = message.model_dump(include=set(wire.schema.names))
    rows: list[dict[str, Any]] = pa.Table.from_pylist([row], schema=wire.schema).to_pylist()
    return rows[0]


def assert_as_alone(values: list[bytes | None], name: str) -> None:
    """Every record is a row or bad exactly as alone, with the same values, in order."""
    wire = FORMATS[name]
    parsed = parse_records(values, wire)
    expected = {i: row for i, v in enumerate(values) if (row := read_alone(v, name)) is not None}
    assert parsed.table.schema == wire.schema
    assert parsed.index == sorted(expected)
    assert parsed.table.to_pylist() == [expected[i] for i in parsed.index]
    assert [row.index for row in parsed.bad] == sorted(set(range(len(values))) - expected.keys())


def padded(name: str, values: list[bytes | None]) -> list[bytes | None]:
    """The values among enough good ones that the bulk reader is used."""
    return [*values, *([encoded(name)] * (FEW_RECORDS + 1))]


def _records(name: str) -> st.SearchStrategy[bytes | None]:
    fields = st.sampled_from(tuple(GOOD[name]))
    return st.one_of(
        st.just(encoded(name)),
        st.sampled_from(RAW),
        st.builds(lambda f, v: encoded(name, **{f: v}), fields, st.sampled_from(ODD_VALUES)),
        st.builds(
            lambda f: orjson.dumps({k: v for k, v in GOOD[name].items() if k != f}),
            fields,
        ),
        st.builds(lambda pair: encoded(name).replace(*pair), st.sampled_from(SPELT_ODDLY)),
        st.builds(lambda n: encoded(name)[:n], st.integers(0, len(encoded(name)))),
        st.builds(lambda x: encoded(name, extra=x), st.integers(0, 9)),
    )


@given(st.data(), st.sampled_from(NAMES))
@settings(max_examples=100, deadline=None)
def test_a_bulk_read_agrees_with_reading_each_alone(data: st.DataObject, name: str) -> None:
    """Any mix of good and odd records is accepted and refused as each would be alone."""
    values = data.draw(st.lists(_records(name), max_size=12))
    assert_as_alone(padded(name, values), name)


@given(st.data(), st.sampled_from(NAMES))
@settings(max_examples=30, deadline=None)
def test_a_short_read_agrees_with_reading_each_alone(data: st.DataObject, name: str) -> None:
    """Few records take the other path, to the same end."""
    values = data.draw(st.lists(_records(name), max_size=5))
    assert_as_alone(values, name)


@pytest.mark.parametrize(("name", "field"), [(n, f) for n, good in GOOD.items() for f in good])
def test_every_odd_value_in_every_field_is_judged_as_alone(name: str, field: str) -> None:
    """One odd field in a record that is otherwise good, among good neighbours only."""
    for value in ODD_VALUES:
        assert_as_alone(padded(name, [encoded(name, **{field: value})]), name)
    missing = orjson.dumps({k: v for k, v in GOOD[name].items() if k != field})
    assert_as_alone(padded(name, [missing]), name)


@pytest.mark.parametrize("pair", SPELT_ODDLY)
def test_odd_spellings_are_judged_as_alone(pair: tuple[bytes, bytes]) -> None:
    """Numbers, keys and texts that JSON readers take differently, among good neighbours only."""
    assert_as_alone(padded("decision", [encoded("decision").replace(*pair)]), "decision")


@pytest.mark.parametrize("field", ["source", "label_time", "extra"])
def test_a_neighbour_does_not_change_what_is_refused(field: str) -> None:
    """A typo, a time in milliseconds and an unknown field are refused in a good batch too."""
    odd = {"source": "typo", "label_time": T0_US // 1000, "extra": 1}
    parsed = parse_records(padded("label", [encoded("label", **{field: odd[field]})]), LABELS)
    assert [row.index for row in parsed.bad] == [0]


def test_records_cannot_borrow_from_their_neighbours() -> None:
    """One record over two values beside two records in one: each value is judged alone."""
    record = encoded("decision")
    cut = record.index(b'{"topic"')
    for values in (
        [record[:cut], record[cut:], record + record],
        [record + record, b"{}"],
        [record[:-1] + b",", b'"extra":1}', record + record],
    ):
        assert_as_alone(padded("decision", list(values)), "decision")
