"""Path contributions: a feature gets the change of the mean answer at each of its splits."""

import lightgbm
import numpy as np
import pytest
import xgboost
from numpy.typing import NDArray

from models.tree_paths import TreePaths, paths_of_lightgbm, paths_of_xgboost

RNG = np.random.default_rng(7)
VALUES = RNG.normal(size=(2_000, 8)).round(1)
VALUES[:, 4] = np.abs(VALUES[:, 4]) * (VALUES[:, 4] > 0)
VALUES[RNG.random(VALUES.shape) < 0.15] = np.nan
VALUES[:, 7] = RNG.normal(size=2_000)  # never missing while learning
TARGET = (np.nan_to_num(VALUES[:, 0] * VALUES[:, 1]) + VALUES[:, 7] > 1.0).astype(float)
UNSEEN = np.where(RNG.random(VALUES.shape) < 0.3, np.nan, VALUES)


def boosted() -> xgboost.Booster:
    """Forty trees of XGBoost."""
    data = xgboost.DMatrix(VALUES, TARGET)
    params = {"objective": "binary:logistic", "max_depth": 5, "base_score": 0.5, "nthread": 1}
    return xgboost.train(params, data, 40)


def grown(**params: object) -> lightgbm.Booster:
    """Forty trees of LightGBM."""
    settings = {"objective": "binary", "num_leaves": 15, "verbose": -1, "num_threads": 1, **params}
    return lightgbm.train(settings, lightgbm.Dataset(VALUES, TARGET), 40)


def assert_sums_to(margin: NDArray[np.float64], contributions: NDArray[np.float64]) -> None:
    """The margin is one constant plus what the features add."""
    constant = margin - contributions.sum(axis=1)
    np.testing.assert_allclose(constant, constant[0], atol=1e-5)


def test_they_equal_xgboosts_own_approximate_contributions() -> None:
    """The same sums as the library's slower mode, missing values included."""
    booster = boosted()
    single = UNSEEN.astype(np.float32).astype(np.float64)
    theirs = booster.predict(xgboost.DMatrix(UNSEEN), pred_contribs=True, approx_contribs=True)
    ours = paths_of_xgboost(booster).contributions(single)
    np.testing.assert_allclose(ours, theirs[:, :-1], atol=1e-5)


@pytest.mark.parametrize(
    "params",
    [{}, {"boosting": "rf", "bagging_fraction": 0.6, "bagging_freq": 1}],
    ids=["boosted", "forest"],
)
def test_they_add_up_to_lightgbms_margin(params: dict[str, object]) -> None:
    """Every row ends in LightGBM's own leaves: also where a value was never missing before."""
    booster = grown(**params)
    margin = np.asarray(booster.predict(UNSEEN, raw_score=True))
    assert_sums_to(margin, paths_of_lightgbm(booster).contributions(UNSEEN))


def paths() -> TreePaths:
    """The paths under test where any will do."""
    return paths_of_xgboost(boosted())


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    """One row at a time gives the bits of the whole batch."""
    ours, single = paths(), UNSEEN.astype(np.float32).astype(np.float64)
    whole = ours.contributions(single)[:300]
    alone = np.vstack([ours.contributions(single[row : row + 1]) for row in range(300)])
    assert np.array_equal(whole, alone)
