"""The kernel against brute force written from the documentation."""

import math
from random import Random

import numpy as np
import pyarrow as pa
from feature_oracle import oracle
from features_events import PARITY, event_tables
from hypothesis import given, settings
from hypothesis import strategies as st

from features.catalogue import CARD_FEATURES
from features.definition import CARD_SET, FeatureSet
from features.engine import replay
from features.statistic import OF_AMOUNTS, Windowed


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


@settings(PARITY, max_examples=25)
@given(event_tables(cards=4, partitions=2), st.randoms(use_true_random=False), st.integers(0, 30))
def test_the_order_and_the_pieces_of_a_table_do_not_matter(
    table: pa.Table, random: Random, cut: int
) -> None:
    """Rows in any order, in one piece or in several: each keeps its features."""
    order = list(range(len(table)))
    random.shuffle(order)
    mixed = table.take(pa.array(order, pa.int64()))
    mixed = pa.concat_tables([mixed.slice(0, cut), mixed.slice(cut)])
    expected, found = replay(table), replay(mixed)
    assert np.array_equal(expected.values[order], found.values, equal_nan=True)
    assert np.array_equal(expected.is_late[order], found.is_late)
    assert np.array_equal(expected.is_duplicate[order], found.is_duplicate)


@settings(PARITY, max_examples=25)
@given(event_tables())
def test_features_of_amounts_do_not_need_what_else_an_event_says(table: pa.Table) -> None:
    """A set of them, for which nothing else is read, gives what they are in the whole set."""
    windowed = (f for f in CARD_FEATURES if isinstance(f.statistic, Windowed))
    features = tuple(f for f in windowed if f.statistic in OF_AMOUNTS)
    assert FeatureSet(features).is_of_amounts
    assert not CARD_SET.is_of_amounts
    assert not FeatureSet(CARD_FEATURES[:1]).is_of_amounts
    columns = [CARD_SET.names.index(feature.name) for feature in features]
    whole, alone = (
        replay(table, feature_set=CARD_SET),
        replay(table, feature_set=FeatureSet(features)),
    )
    assert np.array_equal(whole.values[:, columns], alone.values, equal_nan=True)
    assert np.array_equal(whole.is_duplicate, alone.is_duplicate)
