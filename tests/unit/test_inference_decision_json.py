"""Decisions written by the kernel are those that a JSON library writes, byte for byte."""

from typing import Any

import numpy as np
import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from contracts.columns import parse_transactions
from contracts.messages import Decision
from contracts.transaction_rows import EventRows
from inference.decision_json import KINDS, DecisionColumns, encode_decisions
from inference.reasons import ReasonMap, ruled_reasons, top_reasons

TOPIC = 'topic "é"'
NAMES = ("a", "b", "c", "d")
FIXED = {
    "model_version": '7"',
    "feature_set": "f",
    "policy_version": "p\\",
    "tier": "model",
}
REASON_MAP = ReasonMap.made(NAMES, ("x", "x", "y", "z"))
numbers = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 999.0, 1e14, 1e15, -1e15, 1e16, 2.0**53, 0.1, 5e-324]),
    st.integers(-(10**15), 10**15).map(float),
)
words = st.text(min_size=1, max_size=20).filter(lambda word: max(word) < "\ud800")
amounts = st.integers(-(10**12), 10**12)


@st.composite
def batches(draw: st.DrawFn) -> tuple[EventRows, DecisionColumns]:
    """Some events, and columns that decide them."""
    size = draw(st.integers(1, 4))
    records = [
        orjson.dumps(
            {
                "schema_version": 1,
                "transaction_id": draw(words),
                "event_time": 1_700_000_000_000_000 + n,
                "card_id": draw(words),
                "merchant_id": "m",
                "amount_minor": draw(amounts),
            }
        )
        for n in range(size)
    ]
    offsets = np.array(draw(st.lists(st.integers(0, 2**62), min_size=size, max_size=size)))
    partitions = np.arange(size, dtype=np.int32)
    events = EventRows(parse_transactions(records).rows, partitions, offsets, offsets)
    return events, draw(columns(size))


@st.composite
def columns(draw: st.DrawFn, size: int) -> DecisionColumns:
    """Columns of any numbers, reasons by a model or by rules."""
    matrix = draw(arrays(np.float64, (size, len(NAMES)), elements=numbers))
    shares = draw(arrays(np.float64, (size, len(NAMES)), elements=st.floats(-2, 2)))
    method = draw(st.sampled_from(["path", "tree_shap"]))
    reasons = top_reasons(matrix, shares, REASON_MAP, method)
    rule = {"code": "r", "contribution": 0.0, "feature": "amount", "value": 1.5, "method": "rule"}
    if draw(st.booleans()):
        reasons = reasons.replaced({0: [rule, rule]})
    if draw(st.booleans()):
        reasons = ruled_reasons([[rule] * (n % 3) for n in range(size)], REASON_MAP)
    flags = [draw(arrays(np.bool_, size)) for _ in range(3)]
    return DecisionColumns(
        score=draw(st.one_of(st.none(), arrays(np.float64, size, elements=st.floats(0, 1)))),
        decision=draw(arrays(np.int8, size, elements=st.integers(0, 2))),
        reasons=reasons,
        expected_loss_minor=draw(arrays(np.int64, size, elements=st.integers(-(10**18), 10**18))),
        control=flags[0],
        propensity=draw(arrays(np.float64, size, elements=st.floats(0, 1))),
        is_late=flags[1],
        is_duplicate=flags[2],
        values=draw(st.one_of(st.none(), st.just(matrix))),
        **FIXED,
    )


def by_library(events: EventRows, decided: DecisionColumns, row: int) -> bytes:
    """The same record by a JSON library."""
    table: dict[str, Any] = {
        name: events.rows.array(name)[row].as_py()
        for name in ("transaction_id", "card_id", "event_time", "amount_minor")
    }
    body = {
        "schema_version": 1,
        **table,
        "score": None if decided.score is None else decided.score[row],
        "decision": KINDS[decided.decision[row]],
        "reasons": decided.reasons.of_row(row),
        "expected_loss_minor": decided.expected_loss_minor[row],
        **FIXED,
        "is_late": decided.is_late[row],
        "is_duplicate": decided.is_duplicate[row],
        "control": decided.control[row],
        "propensity": decided.propensity[row],
        "source": {
            "topic": TOPIC,
            "partition": events.partitions[row],
            "offset": events.offsets[row],
        },
        "features": [] if decided.values is None else decided.values[row],
    }
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)


@given(batches())
@settings(deadline=None, max_examples=150)
def test_the_kernel_writes_what_a_library_writes(batch: tuple[EventRows, DecisionColumns]) -> None:
    """Any text, number and flag, reasons from columns and from rules: the same bytes."""
    events, decided = batch
    found = encode_decisions(TOPIC, events, decided)
    assert found == [by_library(events, decided, row) for row in range(len(events))]


def test_a_written_decision_is_a_decision() -> None:
    """The bytes are a `Decision` message with the values that went in."""
    record = b'{"schema_version":1,"transaction_id":"t","event_time":1700000000000000,'
    record += b'"card_id":"c","merchant_id":"m","amount_minor":-5}'
    events = EventRows(
        parse_transactions([record]).rows, np.array([3], np.int32), np.array([9]), np.array([0])
    )
    values = np.array([[1.0, np.nan, 0.5, -2.0]])
    no, one = np.zeros(1, np.bool_), np.ones(1)
    decided = DecisionColumns(
        score=np.array([0.25]),
        decision=np.array([2], np.int8),
        reasons=top_reasons(values, np.array([[0.1, 0.2, 0.0, 0.4]]), REASON_MAP, "path"),
        expected_loss_minor=np.array([12]),
        control=no,
        propensity=one,
        is_late=no,
        is_duplicate=no,
        values=values,
        **FIXED,
    )
    decision = Decision.model_validate_json(encode_decisions(TOPIC, events, decided)[0])
    assert (decision.transaction_id, decision.score, decision.decision) == ("t", 0.25, "decline")
    assert [(r.code, r.feature) for r in decision.reasons] == [("z", "d"), ("x", "b")]
    assert list(decision.features) == [1.0, None, 0.5, -2.0]
    assert (decision.source.partition, decision.source.offset) == (3, 9)
