"""scikit-learn's forest and the file that is kept of it say the same."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from models.forest_family import ForestPredictor, booster_of
from models.predictors import load_predictor, sigmoid

Floats = NDArray[np.float64]


def sample(rows: int = 1500) -> tuple[Floats, NDArray[np.int8]]:
    """Two features that interact, of which one is often missing, and a third without meaning."""
    generator = np.random.default_rng(4)
    values = generator.normal(size=(rows, 3))
    target = (values[:, 0] * values[:, 1] > 0.8).astype(np.int8)
    values[generator.random(rows) < 0.25, 1] = np.nan
    return values, target


@pytest.fixture(scope="module")
def forest() -> RandomForestClassifier:
    """A small forest, grown on missing values too."""
    return RandomForestClassifier(15, max_depth=7, max_samples=0.6, random_state=2).fit(*sample())


def test_the_kept_trees_vote_as_scikit_learn_does(forest: RandomForestClassifier) -> None:
    """Row by row the same probability, missing values and values at a threshold included."""
    values, _ = sample()
    edges = np.concatenate([tree.tree_.threshold for tree in forest.estimators_])
    edges = edges[np.isfinite(edges)][: len(values)]
    values[: len(edges), 0] = edges
    vote = sigmoid(ForestPredictor(booster_of(forest), None).margin(values))
    expected = np.clip(forest.predict_proba(values)[:, 1], 1e-6, 1 - 1e-6)
    assert np.abs(vote - expected).max() < 1e-6


def test_a_loaded_forest_scores_the_same_bits(
    forest: RandomForestClassifier, tmp_path: Path
) -> None:
    """Saved and loaded by the header's family: byte-identical margins."""
    kept = ForestPredictor(booster_of(forest), None)
    kept.save(tmp_path)
    values, _ = sample()
    assert load_predictor(tmp_path).margin(values).tobytes() == kept.margin(values).tobytes()


def test_contributions_add_up_to_the_margin(forest: RandomForestClassifier) -> None:
    """Margin less contributions is one constant: the average vote's log-odds."""
    kept = ForestPredictor(booster_of(forest), None)
    values, _ = sample()
    margin = kept.margin(values)
    for found in (kept.explained(values)[1], kept.exact_contributions(values)):
        rest = margin - found.sum(axis=1)
        assert np.ptp(rest) < 1e-3
