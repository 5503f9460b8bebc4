"""Shapley values by our own kernel: the libraries' TreeSHAP, row by row."""

import lightgbm
import numpy as np
import pytest
import xgboost
from test_models_tree_paths import FORESTS, UNSEEN, VALUES, assert_sums_to, boosted, grown

from models.tree_nodes import trees_of_lightgbm, trees_of_xgboost
from models.tree_shap import ShapTables, shap_tables


def tables_of_xgboost(booster: xgboost.Booster) -> ShapTables:
    return shap_tables(trees_of_xgboost(booster)[0], np.float32)


@pytest.mark.parametrize("depth", [1, 2, 5, 8])
def test_they_are_xgboosts_own(depth: int) -> None:
    """As far as single precision tells, at even and odd depths, missing values included."""
    data = xgboost.DMatrix(VALUES, np.nan_to_num(VALUES[:, 0] * VALUES[:, 1]) + VALUES[:, 7])
    booster = xgboost.train({"max_depth": depth, "nthread": 1}, data, 30)
    theirs = booster.predict(xgboost.DMatrix(UNSEEN), pred_contribs=True)[:, :-1]
    ours = tables_of_xgboost(booster).contributions(UNSEEN)
    np.testing.assert_allclose(ours, theirs, atol=2e-5)


@FORESTS
def test_they_are_lightgbms_own(params: dict[str, object]) -> None:
    """To the last digits, though its trees are of uneven depth and split a feature again."""
    booster = grown(**params)
    theirs = np.asarray(booster.predict(UNSEEN, pred_contrib=True))[:, :-1]
    ours = shap_tables(trees_of_lightgbm(booster), np.float64).contributions(UNSEEN)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


def test_they_add_up_to_the_margin() -> None:
    """The margin is one constant plus what the features add."""
    booster = boosted()
    margin = booster.inplace_predict(UNSEEN.astype(np.float32), predict_type="margin")
    assert_sums_to(margin, tables_of_xgboost(booster).contributions(UNSEEN))


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    """One row at a time gives the bits of the whole batch."""
    tables = tables_of_xgboost(boosted())
    alone = [tables.contributions(UNSEEN[row : row + 1]) for row in range(100)]
    assert np.array_equal(tables.contributions(UNSEEN)[:100], np.concatenate(alone))


def test_a_tree_without_a_split_adds_nothing() -> None:
    """An ensemble that learned nothing explains with zeros."""
    data = lightgbm.Dataset(VALUES, np.zeros(len(VALUES)))
    booster = lightgbm.train({"objective": "binary", "verbose": -1, "num_threads": 1}, data, 2)
    tables = shap_tables(trees_of_lightgbm(booster), np.float64)
    assert not tables.contributions(UNSEEN).any()
