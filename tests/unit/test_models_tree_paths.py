"""Trees walked by our own kernels: the libraries' margins and path contributions."""

from dataclasses import replace

import lightgbm
import numpy as np
import pytest
import xgboost
from numpy.typing import NDArray

from contracts.errors import BundleError
from models.tree_nodes import trees_of_lightgbm, trees_of_xgboost
from models.tree_paths import TreePaths, joined

RNG = np.random.default_rng(7)
VALUES = RNG.normal(size=(2_000, 8)).round(1)
VALUES[:, 4] = np.abs(VALUES[:, 4]) * (VALUES[:, 4] > 0)
VALUES[RNG.random(VALUES.shape) < 0.15] = np.nan
VALUES[:, 7] = RNG.normal(size=2_000)  # never missing while learning
TARGET = (np.nan_to_num(VALUES[:, 0] * VALUES[:, 1]) + VALUES[:, 7] > 1.0).astype(float)
UNSEEN = np.where(RNG.random(VALUES.shape) < 0.3, np.nan, VALUES)

FORESTS = pytest.mark.parametrize(
    "params",
    [{}, {"boosting": "rf", "bagging_fraction": 0.6, "bagging_freq": 1}],
    ids=["boosted", "forest"],
)


def boosted(base_score: float = 0.5) -> xgboost.Booster:
    """Forty trees of XGBoost."""
    data = xgboost.DMatrix(VALUES, TARGET)
    params = {"objective": "binary:logistic", "max_depth": 5, "nthread": 1}
    params["base_score"] = base_score
    return xgboost.train(params, data, 40)


def grown(**params: object) -> lightgbm.Booster:
    """Forty trees of LightGBM."""
    settings = {"objective": "binary", "num_leaves": 15, "verbose": -1, "num_threads": 1, **params}
    return lightgbm.train(settings, lightgbm.Dataset(VALUES, TARGET), 40)


def paths_of_xgboost(booster: xgboost.Booster) -> TreePaths:
    trees, base = trees_of_xgboost(booster)
    return joined(trees, base, np.float32)


def paths_of_lightgbm(booster: lightgbm.Booster) -> TreePaths:
    return joined(trees_of_lightgbm(booster), 0.0, np.float64)


def assert_sums_to(margin: NDArray[np.float64], contributions: NDArray[np.float64]) -> None:
    """The margin is one constant plus what the features add."""
    constant = margin - contributions.sum(axis=1)
    np.testing.assert_allclose(constant, constant[0], atol=1e-5)


def test_they_equal_xgboosts_own_approximate_contributions() -> None:
    """The same sums as the library's slower mode, missing values included."""
    booster = boosted()
    theirs = booster.predict(xgboost.DMatrix(UNSEEN), pred_contribs=True, approx_contribs=True)
    ours = paths_of_xgboost(booster).explained(UNSEEN)[1]
    np.testing.assert_allclose(ours, theirs[:, :-1], atol=1e-5)


@pytest.mark.parametrize("base_score", [0.5, 0.013])
def test_margins_have_the_bits_of_xgboosts(base_score: float) -> None:
    """The same leaves, added in the same order and precision to the same start."""
    booster = boosted(base_score=base_score)
    theirs = booster.inplace_predict(UNSEEN.astype(np.float32), predict_type="margin")
    assert np.array_equal(paths_of_xgboost(booster).margin(UNSEEN), theirs.astype(np.float64))


def test_paths_that_differ_from_the_library_are_refused() -> None:
    """One leaf that is off by one bit is found when the model is loaded."""
    booster = boosted()
    right = paths_of_xgboost(booster)
    leaf = right.leaf.copy()
    leaf[leaf != 0] = np.nextafter(leaf[leaf != 0], np.float32(np.inf))
    wrong = replace(right, leaf=leaf)

    def native(values: NDArray[np.float64]) -> NDArray[np.float64]:
        found = booster.inplace_predict(values.astype(np.float32), predict_type="margin")
        return np.asarray(found, dtype=np.float64)

    assert right.agreeing(native, VALUES.shape[1]) is right
    with pytest.raises(BundleError, match="differently"):
        wrong.agreeing(native, VALUES.shape[1])


@FORESTS
def test_they_add_up_to_lightgbms_margin(params: dict[str, object]) -> None:
    """Every row ends in LightGBM's own leaves: also where a value was never missing before."""
    booster = grown(**params)
    margin = np.asarray(booster.predict(UNSEEN, raw_score=True))
    paths = paths_of_lightgbm(booster)
    assert np.array_equal(paths.margin(UNSEEN), margin)
    assert_sums_to(margin, paths.explained(UNSEEN)[1])


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    """One row at a time gives the bits of the whole batch."""
    paths = paths_of_xgboost(boosted())
    for answer in (paths.margin, lambda rows: paths.explained(rows)[1]):
        alone = [answer(UNSEEN[row : row + 1]) for row in range(300)]
        assert np.array_equal(answer(UNSEEN)[:300], np.concatenate(alone))


def test_a_split_that_only_parts_missing_values_is_walked_alike() -> None:
    """LightGBM puts its infinity, 1e300, where being missing is all that counts."""
    values = RNG.normal(size=(2_000, 2))
    values[RNG.random(2_000) < 0.3, 0] = np.nan
    target = np.isnan(values[:, 0]).astype(float)
    params = {"objective": "binary", "verbose": -1, "num_threads": 1, "min_data_in_leaf": 5}
    booster = lightgbm.train(params, lightgbm.Dataset(values, target), 5)
    paths = paths_of_lightgbm(booster)
    assert paths.threshold.max() >= 1e300
    paths.agreeing(lambda rows: np.asarray(booster.predict(rows, raw_score=True)), 2)
