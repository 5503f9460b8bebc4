"""Rules, reasons, frames, dead letters, first decisions: the scorer's parts on their own."""

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from inference_fakes import source, transaction
from pydantic import ValidationError

from contracts.columns import TRANSACTION_SCHEMA
from contracts.errors import SettingsError
from contracts.rule_settings import FallbackSettings
from features.catalogue import CARD_FEATURES
from features.definition import FEATURE_SET
from inference.arrow_frames import ANSWER_SCHEMA, answer_rows, header_values
from inference.decisions import FirstDecisions
from inference.reason_codes import CODES
from inference.reason_kernel import NONE, REASONS, strongest
from inference.reasons import ReasonMap, exact_where, top_reasons
from inference.records import Answers
from inference.spark_session import patient
from inference.start_offsets import _parsed, as_spark_json, checkpoint_offsets
from models.rules import RuleTier

HEADERS = pa.list_(pa.struct([("key", pa.string()), ("value", pa.binary())]))


RULES = [
    {
        "code": "large",
        "decision": "decline",
        "when": [{"field": "amount_minor", "at_least": 10_000}],
    },
    {"code": "high", "decision": "review", "when": [{"field": "amount_minor", "at_least": 1_000}]},
    {
        "code": "category",
        "decision": "review",
        "when": [{"field": "merchant_category", "one_of": ["6051"]}],
    },
    {
        "code": "far_and_small",
        "decision": "review",
        "when": [
            {"field": "country", "none_of": ["DE", "FR"]},
            {"field": "amount_minor", "below": 10},
        ],
    },
]


def rule_tier(*rules: object) -> RuleTier:
    """A tier of these rules, or of `RULES`."""
    return RuleTier(FallbackSettings.model_validate({"version": "1", "rules": rules or RULES}))


@pytest.mark.parametrize(
    ("changes", "decision", "codes"),
    [
        ({"amount_minor": 999}, 0, []),
        ({"amount_minor": 1_000}, 1, ["high"]),
        ({"amount_minor": 10_000}, 2, ["large"]),
        ({"amount_minor": -20_000}, 0, []),
        ({"merchant_category": "6051", "amount_minor": 1_000}, 1, ["high", "category"]),
        ({"country": "KP", "amount_minor": 9}, 1, ["far_and_small"]),
        ({"country": "KP", "amount_minor": 10}, 0, []),
        ({"country": "DE", "amount_minor": 9}, 0, []),
        ({"merchant_category": None, "country": None, "amount_minor": 9}, 0, []),
        ({"merchant_category": "6051", "amount_minor": 10_000}, 2, ["large"]),
    ],
)
def test_the_severest_rule_decides(
    changes: dict[str, object], decision: int, codes: list[str]
) -> None:
    """At-least is inclusive, conditions are all asked for, a missing field meets none."""
    event = transaction(0) | {"amount_minor": 500, "country": "DE"} | changes
    table = pa.Table.from_pylist([event], schema=TRANSACTION_SCHEMA)
    columns = dict(zip(table.column_names, table.columns, strict=True))
    ruled = rule_tier().decide(columns, 1)
    assert ruled.decision.tolist() == [decision]
    assert [reason.code for reason in ruled.reasons[0]] == codes


def test_a_rule_on_a_column_that_is_not_there_holds_nowhere() -> None:
    """The gate knows fewer fields than the stream."""
    assert rule_tier(RULES[2]).decide({}, 2).decision.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ([{"field": "amount_minor", "one_of": ["1"]}], "amount_minor cannot be asked for one_of"),
        ([{"field": "country", "at_least": 3}], "country cannot be asked for at_least"),
        ([{"field": "country"}], "give at_least"),
        ([{"field": "colour", "one_of": ["red"]}], "amount_minor"),
        ([{"field": "country", "one_of": []}], "at least 1"),
        ([{"field": "amount_minor", "at_least": 5, "below": 5}], "nothing is at least 5"),
        ([], "at least 1"),
    ],
)
def test_a_rule_that_means_nothing_is_refused(when: list[object], message: str) -> None:
    """The message names what is wrong with the rule."""
    with pytest.raises(ValidationError, match=message):
        rule_tier({"code": "x", "decision": "review", "when": when})


def test_two_rules_of_one_code_are_refused() -> None:
    """A decision names the rule that made it, so each needs a code of its own."""
    rule = {"code": "big", "decision": "review", "when": [{"field": "country", "one_of": ["DE"]}]}
    with pytest.raises(ValidationError, match="a code of its own, not big"):
        rule_tier(rule, rule)


@settings(deadline=None)  # the first example may compile
@given(
    arrays(np.float64, (4, 9), elements=st.integers(-3, 5).map(float)),
    arrays(np.int32, 9, elements=st.integers(0, 4)),
)
def test_strongest_agrees_with_a_stable_sort(values: np.ndarray, groups: np.ndarray) -> None:
    """The largest positive ones, one per group, largest first, ties by position."""
    columns, _ = strongest(values, groups, values)
    for row, found in zip(values, columns.tolist(), strict=True):
        best: dict[int, int] = {}
        for column in np.argsort(-row, kind="stable").tolist():
            if row[column] > 0:
                best.setdefault(int(groups[column]), column)
        expected = list(best.values())[:REASONS]
        assert found == expected + [NONE] * (REASONS - len(expected))


def test_reasons_raise_the_score_and_share_no_code() -> None:
    """A negative contribution is no reason; two features of one code give one reason."""
    reason_map = ReasonMap.made(("a", "b", "c", "d", "e"), ("x", "x", "y", "z", "w"))
    contributions = np.array([[0.5, 0.9, 0.4, -2.0, 0.1]])
    values = np.array([[1.0, 2.0, np.nan, 4.0, 5.0]])
    found = top_reasons(values, contributions, reason_map, "path").of_row(0)
    assert [(r["code"], r["feature"]) for r in found] == [("x", "b"), ("y", "c"), ("w", "e")]
    assert [r["value"] for r in found] == [2.0, None, 5.0]
    assert [r["contribution"] for r in found] == [0.9, 0.4, 0.1]


def test_contributions_are_told_to_four_digits() -> None:
    """As numpy rounds them; a feature's value is told as it is."""
    reason_map = ReasonMap.made(("a",), ("x",))
    (found,) = top_reasons(
        np.array([[1.23456789]]), np.array([[0.123456]]), reason_map, "path"
    ).of_row(0)
    assert (found["contribution"], found["value"]) == (0.1235, 1.23456789)


def test_only_chosen_rows_get_exact_reasons() -> None:
    """Exact contributions are asked for the chosen rows and replace theirs alone."""
    reason_map = ReasonMap.made(("a",), ("x",))
    asked: list[int] = []

    def exact(values: np.ndarray) -> np.ndarray:
        asked.append(len(values))
        return np.full((len(values), 1), 2.0)

    values = np.zeros((3, 1))
    cheap = top_reasons(values, np.ones((3, 1)), reason_map, "path")
    found = exact_where(np.array([1]), values, cheap, exact, reason_map)
    methods = [found.of_row(row)[0]["method"] for row in range(3)]
    assert methods == ["path", "tree_shap", "path"]
    assert asked == [1]


def test_every_statistic_has_a_reason_code() -> None:
    """A feature without a code would show people a raw statistic."""
    missing = {f.statistic.name.lower() for f in CARD_FEATURES} - CODES.keys()
    assert missing == set()


def test_headers_are_found_by_name() -> None:
    """The last of a repeated header counts; rows without it have none, whatever the slice."""
    rows = [
        [{"key": "sent_us", "value": b"1"}, {"key": "other", "value": b"2"}],
        None,
        [],
        [{"key": "other", "value": b"3"}],
        [{"key": "sent_us", "value": b"4"}, {"key": "sent_us", "value": b"5"}],
    ]
    headers = pa.array(rows, HEADERS)
    assert header_values(headers, "sent_us") == [b"1", None, None, None, b"5"]
    assert header_values(headers.slice(3), "sent_us") == [None, b"5"]
    assert header_values(pa.array([None], HEADERS), "sent_us") == [None]


def test_answers_become_rows_with_their_headers() -> None:
    """Each row has its batch id, and the send time where the transaction had one."""
    answers = Answers()
    answers.add("scores", [b"c1", None], [b"{}", b"{}"], [b"17", None])
    rows = answer_rows(answers, 42)
    assert rows.schema == ANSWER_SCHEMA
    first, second = rows.to_pylist()
    assert first["headers"] == [
        {"key": "batch_id", "value": b"42"},
        {"key": "sent_us", "value": b"17"},
    ]
    assert second["headers"] == [{"key": "batch_id", "value": b"42"}]
    assert (first["topic"], first["key"], second["key"]) == ("scores", b"c1", None)


def _decision(offset: int, score: float) -> bytes:
    return orjson.dumps(
        {"source": {"topic": "t", "partition": 0, "offset": offset}, "score": score}
    )


def test_the_first_record_of_a_source_is_the_decision() -> None:
    """Repeats are dropped and counted; those that differ are counted as such."""
    seen = FirstDecisions()
    records = [_decision(1, 0.5), _decision(2, 0.5), _decision(1, 0.5), _decision(2, 0.6)]
    kept = [decision for value in records if (decision := seen.add(value)) is not None]
    assert [d["source"]["offset"] for d in kept] == [1, 2]
    assert (len(seen), seen.repeats, seen.differing) == (2, 2, 1)


def test_starting_offsets_are_read_or_refused() -> None:
    """JSON by partition is understood; anything else names the remedy."""
    assert _parsed('{"0": 5, "1": 7}') == {0: 5, 1: 7}
    assert as_spark_json("t", {0: 5}) == '{"t": {"0": 5}}'
    for wrong in ("[1]", "earliest", '{"a": 1}', '{"0": null}'):
        with pytest.raises(SettingsError, match="latest, snapshot"):
            _parsed(wrong)


def test_a_checkpoint_continues_after_its_last_committed_batch(tmp_path: object) -> None:
    """A batch that was planned but not committed will be replayed, so its start counts."""
    from pathlib import Path

    root = Path(str(tmp_path))
    assert checkpoint_offsets(root, "t") is None
    for folder in ("offsets", "commits"):
        (root / folder).mkdir()
    for batch, offset in ((3, 30), (4, 40)):
        (root / "offsets" / str(batch)).write_text(f'v1\n{{}}\n{{"t":{{"0":{offset}}}}}')
    (root / "sources" / "0").mkdir(parents=True)
    (root / "sources" / "0" / "0").write_text('v1\n{"t":{"0":20}}')
    assert checkpoint_offsets(root, "t") == {0: 20}
    (root / "commits" / "3").write_text("v1\n{}")
    assert checkpoint_offsets(root, "t") == {0: 30}


def test_a_rejected_record_keeps_its_bytes() -> None:
    """Dead letters of a batch hold base64 of exactly what came."""
    from base64 import b64decode

    from contracts.columns import BadRow
    from inference.rejects import encode_rejects

    raw = bytes(range(256))
    value = encode_rejects("t", source([raw], first=9), [BadRow(0, "not_json", "\ud800")])[0]
    body = orjson.loads(value)
    assert b64decode(body["raw"]) == raw
    assert body["source"] == {"topic": "t", "partition": 0, "offset": 9}


def test_codes_cover_the_feature_set_in_vector_order() -> None:
    """Names and codes stand at their feature's position."""
    reason_map = ReasonMap.of(FEATURE_SET)
    assert reason_map.names == FEATURE_SET.names
    assert len(reason_map.codes) == len(reason_map.names)


@pytest.mark.parametrize(
    ("master", "used"),
    [
        ("local", "local[1,4]"),
        ("local[2]", "local[2,4]"),
        ("local[*]", "local[*,4]"),
        ("local[2,1]", "local[2,1]"),
        ("spark://master:7077", "spark://master:7077"),
    ],
)
def test_a_failed_task_is_tried_again_on_any_master(master: str, used: str) -> None:
    """Local mode would end the query at its first failed task; who says how often is heard."""
    assert patient(master) == used
