"""The definition: names, hash, documentation, hashing of identifiers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from features.catalogue import CARD_FEATURES
from features.definition import FEATURE_SET, FeatureSet
from features.documentation import document
from features.feature import Feature
from features.hashing import hash_column
from features.layout import HOUR, LONGEST_WINDOW
from features.statistic import Instant, Windowed

CHECKOUT = Path(__file__).resolve().parents[2]


def test_there_are_at_least_fifty_features_of_every_group() -> None:
    """The set covers the temporal, behavioural, monetary, merchant and device groups."""
    groups = {feature.group for feature in FEATURE_SET.features}
    assert len(FEATURE_SET.names) >= 50
    assert groups == {"temporal", "behavioural", "monetary", "merchant", "device"}


def test_names_derive_from_entity_statistic_and_window() -> None:
    """Nobody types a feature's name."""
    feature = Feature(Windowed.SUM, "monetary", "Sum", window_ms=24 * HOUR)
    assert feature.name == "card_sum_24h"
    assert replace(feature, window_ms=7 * 24 * HOUR).name == "card_sum_7d"
    assert (
        Feature(Instant.HOUR, "temporal", "Hour", entity="transaction").name == "transaction_hour"
    )


def test_two_features_with_one_name_are_refused() -> None:
    """A set is unambiguous by name."""
    with pytest.raises(ValueError, match="one name"):
        _ = FeatureSet((CARD_FEATURES[0], CARD_FEATURES[0])).names


@pytest.mark.parametrize(
    ("statistic", "window_ms"),
    [(Windowed.SUM, None), (Instant.AMOUNT, HOUR), (Windowed.SUM, LONGEST_WINDOW + 1)],
)
def test_a_window_that_does_not_fit_is_refused(
    statistic: Instant | Windowed, window_ms: int | None
) -> None:
    """Windows belong to windowed statistics, and cards forget amounts after the longest one."""
    with pytest.raises(ValueError, match="window"):
        Feature(statistic, "monetary", "Impossible", window_ms=window_ms)


def test_the_hash_follows_everything_that_decides_a_value() -> None:
    """Order, window and statistic change the hash; a description does not."""
    first = FEATURE_SET.features[0]
    described = replace(first, description="Other words")
    assert FeatureSet((described, *FEATURE_SET.features[1:])).hash == FEATURE_SET.hash
    assert FeatureSet(FEATURE_SET.features[::-1]).hash != FEATURE_SET.hash
    assert FeatureSet(FEATURE_SET.features[1:]).hash != FEATURE_SET.hash


def test_the_documentation_is_current() -> None:
    """docs/features.md is what the definition generates."""
    assert (CHECKOUT / "docs" / "features.md").read_text(encoding="utf-8") == document()


def test_identifiers_are_hashed_by_xxh64() -> None:
    """Published test values of XXH64 with seed 0; null is 0."""
    column = pa.chunked_array([["", "a"], ["abc", None]])
    expected = [0xEF46DB3751D8E999, 0xD24EC4F1A98C6E5B, 0x44BC2CF5AD770999, 0]
    assert hash_column(column).view(np.uint64).tolist() == expected


def test_hashing_reads_slices_and_long_strings() -> None:
    """A sliced Arrow array hashes as its own values do, also beyond one 32-byte stripe."""
    words = ["x" * size for size in range(80)]
    whole = hash_column(pa.chunked_array([words]))
    sliced = hash_column(pa.chunked_array([pa.array(words).slice(30, 40)]))
    assert np.array_equal(whole[30:70], sliced)
    assert len(set(whole.tolist())) == len(words)
