"""The kernel against brute force written from the documentation."""

import math

import pyarrow as pa
from feature_oracle import oracle
from features_events import PARITY, event_tables
from hypothesis import given, settings

from features.definition import CARD_SET
from features.engine import replay


def differences(table: pa.Table) -> list[tuple[str, int, object, object]]:
    """(feature or flag, row, expected, served) wherever replay and oracle disagree."""
    served, rows = replay(table, feature_set=CARD_SET), table.to_pylist()
    found: list[tuple[str, int, object, object]] = []
    for card in {row["card_id"] for row in rows}:
        places = [i for i, row in enumerate(rows) if row["card_id"] == card]
        for i, answer in zip(places, oracle([rows[i] for i in places]), strict=True):
            flags = (answer.is_late, answer.is_duplicate)
            if flags != (served.is_late[i], served.is_duplicate[i]):
                found.append(("flags", i, flags, (served.is_late[i], served.is_duplicate[i])))
            for name, value in zip(CARD_SET.names, served.values[i].tolist(), strict=True):
                expected = answer.vector[name]
                if expected is None and math.isnan(value):
                    continue
                if expected is None or float(expected) != value:
                    found.append((name, i, expected, value))
    return found


@settings(PARITY, max_examples=25)
@given(event_tables())
def test_replay_equals_brute_force(table: pa.Table) -> None:
    """Every feature and flag of every event equals the oracle's, bit for bit."""
    assert differences(table) == []
