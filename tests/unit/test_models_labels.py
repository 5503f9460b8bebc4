"""What is known at a cut: corrections, maturity, declines, the control group."""

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from contracts.columns import EVENT_SCHEMA, SOURCE_SCHEMA
from contracts.wire import DECISION_SCHEMA, LABEL_SCHEMA, OUTCOME_SCHEMA
from models.labels import UNKNOWN, LabelLog, Treatment, knowledge_at, match_labels, read_treatment

DAY = 86_400_000_000
T0 = 1_767_225_600_000_000
CUT = T0 + 30 * DAY
MATURITY = 10 * DAY


def events(*rows: tuple[str, str, int]) -> pa.Table:
    """Events of (card, transaction, event time), one partition, offsets in order."""
    listed = [
        {
            "partition": 0,
            "offset": offset,
            "timestamp_us": time,
            "schema_version": 1,
            "transaction_id": transaction,
            "event_time": time,
            "card_id": card,
            "merchant_id": "m",
            "amount_minor": 100,
        }
        for offset, (card, transaction, time) in enumerate(rows)
    ]
    return pa.Table.from_pylist(listed, schema=EVENT_SCHEMA)


def labels(*rows: tuple[str, str, bool, int]) -> pa.Table:
    """Labels of (card, transaction, is_fraud, label time), offsets in order."""
    listed = [
        {
            "partition": 0,
            "offset": offset,
            "timestamp_us": time,
            "transaction_id": transaction,
            "card_id": card,
            "merchant_id": "m",
            "event_time": T0,
            "is_fraud": fraud,
            "label_time": time,
            "source": "chargeback",
        }
        for offset, (card, transaction, fraud, time) in enumerate(rows)
    ]
    return pa.Table.from_pylist(listed, schema=pa.schema([*SOURCE_SCHEMA, *LABEL_SCHEMA]))


def decision(offset: int, kind: str, *, control: bool = False) -> dict[str, object]:
    """A decision about the event at `offset`."""
    return {
        "partition": 0,
        "offset": offset,
        "timestamp_us": T0,
        "decision": kind,
        "control": control,
        "propensity": 0.01 if control else 1.0,
        "source": {"topic": "transactions", "partition": 0, "offset": offset},
    }


def treatment_of(table: pa.Table, *decisions: dict[str, object]) -> Treatment:
    """Treatment by decisions alone."""
    schema = pa.schema([*SOURCE_SCHEMA, *DECISION_SCHEMA])
    made = pa.Table.from_pylist(list(decisions), schema=schema)
    none = pa.schema([*SOURCE_SCHEMA, *OUTCOME_SCHEMA]).empty_table()
    return read_treatment(table, made, none, "transactions")


def targets(table: pa.Table, log: LabelLog, treatment: Treatment | None = None) -> list[int]:
    """Targets at CUT."""
    given = treatment or treatment_of(table)
    time: NDArray[np.int64] = table["event_time"].to_numpy()
    known: list[int] = knowledge_at(log, given, time, CUT, MATURITY).target.tolist()
    return known


def test_a_label_after_the_cut_is_unseen() -> None:
    """A fraud whose label comes after the cut counts as legitimate at the cut."""
    table = events(("c", "a", T0))
    assert targets(table, match_labels(table, labels(("c", "a", True, CUT + 1)))) == [0]
    assert targets(table, match_labels(table, labels(("c", "a", True, CUT)))) == [1]


def test_the_newest_label_counts() -> None:
    """A correction replaces what it corrects; at equal label times the larger offset wins."""
    table = events(("c", "a", T0), ("c", "b", T0))
    log = match_labels(
        table,
        labels(
            ("c", "a", False, T0 + 5 * DAY),
            ("c", "a", True, T0 + 2 * DAY),
            ("c", "b", False, T0 + DAY),
            ("c", "b", True, T0 + DAY),
        ),
    )
    assert targets(table, log) == [0, 1]


def test_young_transactions_are_unknown_even_when_labelled() -> None:
    """Both classes mature: an early positive younger than maturity does not train."""
    table = events(("c", "a", CUT - MATURITY + 1), ("c", "b", CUT - MATURITY))
    log = match_labels(table, labels(("c", "a", True, CUT - 1), ("c", "b", True, CUT - 1)))
    assert targets(table, log) == [UNKNOWN, 1]


def test_the_same_id_on_another_card_is_another_transaction() -> None:
    """A label finds its transaction by card and id together."""
    table = events(("c1", "a", T0), ("c2", "a", T0))
    log = match_labels(table, labels(("c2", "a", True, T0 + 1), ("c3", "a", True, T0 + 1)))
    assert targets(table, log) == [0, 1]
    assert log.unmatched == 1


def test_an_uninvestigated_decline_is_unknown_for_ever() -> None:
    """A decline without a label is neither class; with one it trains but does not judge."""
    table = events(("c", "a", T0), ("c", "b", T0), ("c", "d", T0))
    treatment = treatment_of(table, decision(0, "decline"), decision(1, "decline"))
    log = match_labels(table, labels(("c", "b", True, T0 + DAY)))
    known = knowledge_at(log, treatment, table["event_time"].to_numpy(), CUT, MATURITY)
    assert known.target.tolist() == [UNKNOWN, 1, 0]
    assert known.is_evaluated.tolist() == [False, False, True]


def test_the_control_group_speaks_for_the_declined() -> None:
    """A decline let through is known, and weighs one over its propensity."""
    table = events(("c", "a", T0), ("c", "b", T0))
    treatment = treatment_of(table, decision(0, "approve", control=True), decision(1, "approve"))
    assert treatment.weight.tolist() == pytest.approx([100.0, 1.0])
    assert targets(table, match_labels(table, labels()), treatment) == [0, 0]


def test_the_first_decision_of_a_record_counts() -> None:
    """A repeated decision about the same source record changes nothing."""
    table = events(("c", "a", T0))
    late = decision(0, "decline") | {"offset": 9}
    assert not treatment_of(table, decision(0, "approve"), late).is_stopped[0]


def test_a_card_is_compromised_from_its_first_fraud_label() -> None:
    """Every event of a card knows when the card was first labelled; others never."""
    table = events(("c1", "a", T0), ("c1", "b", T0 + DAY), ("c2", "d", T0))
    log = match_labels(table, labels(("c1", "a", True, T0 + 3 * DAY)))
    first = log.first_fraud(np.array([0, 0, 1]))
    assert first[:2].tolist() == [T0 + 3 * DAY] * 2
    assert first[2] > CUT
