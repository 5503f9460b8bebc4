"""Arms: named, fitted inside the training fold, saved natively, the same twice."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from models_world import CHECKOUT, make_table, settings_with

from contracts.errors import TrainingError
from contracts.settings import load_settings
from models.arms import ALL_ARMS, Arm, Treatment, arm_from, make_arm, plan_arms
from models.fit import fit_arm
from models.folds import Fold
from models.metrics import average_precision, rank
from models.predictors import load_predictor
from models.resample import resample
from models.trainers import Fitted, Sample

CATEGORICAL = np.array([3])
TABLE = make_table()


def sample(fold: Fold) -> Sample:
    """A fold of the test table as a trainer sees it."""
    rows = TABLE.of(fold)
    return Sample(rows.values, rows.target, rows.weight)


def quick_arm(name: str) -> Arm:
    """The arm of that name, with few rounds and small batches."""
    learning = load_settings(CHECKOUT, environ={}).learning
    arm = make_arm(name, learning.model_copy(update={"epochs": 20, "batch_size": 64}))
    few = {"xgboost": {"rounds": 20}, "lightgbm": {"rounds": 20}}.get(arm.family, {})
    few = {"n_estimators": 20} if arm.family == "random_forest" else few
    return Arm(arm.name, arm.family, arm.treatment, arm.ratio, {**arm.params, **few})


def fit_again(name: str) -> Fitted:
    """Fit an arm on the test table."""
    train, stop = sample(Fold.TRAIN), sample(Fold.SELECT)
    return fit_arm(quick_arm(name), train, stop, categorical=CATEGORICAL, seed=5)


@cache
def fitted(name: str) -> Fitted:
    """The same, once per arm."""
    return fit_again(name)


@pytest.mark.parametrize("name", ALL_ARMS)
def test_every_arm_learns_and_survives_its_files(name: str, tmp_path: Path) -> None:
    """Each arm ranks frauds well, and gives the same margins after saving and loading."""
    found = fitted(name)
    rows = TABLE.of(Fold.TEST)
    margin = found.predictor.margin(rows.values)
    assert average_precision(rank(margin), rows.target, rows.weight) > 0.5
    found.predictor.save(tmp_path)
    loaded = load_predictor(tmp_path)
    assert np.array_equal(loaded.margin(rows.values), margin)
    assert not list(tmp_path.glob("*.pkl"))


@pytest.mark.parametrize("name", ALL_ARMS)
def test_a_rows_margin_does_not_depend_on_its_neighbours(name: str) -> None:
    """Scored alone or among others, a row gets the same bits: replays cut batches elsewhere."""
    predictor = fitted(name).predictor
    values = TABLE.of(Fold.TEST).values[:40]
    alone = np.concatenate([predictor.margin(values[i : i + 1]) for i in range(len(values))])
    assert np.array_equal(alone, predictor.margin(values))


@pytest.mark.parametrize("name", ALL_ARMS)
def test_contributions_name_the_feature_that_matters(name: str) -> None:
    """Among frauds, cheap and exact contributions put the informative feature first."""
    predictor = fitted(name).predictor
    rows = TABLE.of(Fold.TEST)
    frauds = rows.values[rows.target == 1][:30]
    for found in (predictor.explained(frauds)[1], predictor.exact_contributions(frauds)):
        assert found.shape == frauds.shape
        assert int(np.abs(found).mean(axis=0).argmax()) == 0


@pytest.mark.parametrize("name", ALL_ARMS)
def test_fitting_twice_gives_the_same_bytes(name: str) -> None:
    """Same rows, same seed: byte-identical margins."""
    values = TABLE.of(Fold.TEST).values
    first, second = (fit_again(name).predictor.margin(values) for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_smote_sees_the_training_fold_alone(tmp_path: Path) -> None:
    """Whatever the selection rows hold, resampling and scaling make the same training rows."""
    arm = make_arm("logistic_regression_smote", settings_with(tmp_path).learning)
    train, stop = sample(Fold.TRAIN), sample(Fold.SELECT)
    wild = Sample(stop.values * 1e6, 1 - stop.target, stop.weight)
    one, two = (
        fit_arm(arm, train, other, categorical=CATEGORICAL, seed=5).predictor.margin(train.values)
        for other in (stop, wild)
    )
    assert np.array_equal(one, two)


def test_smote_reaches_its_ratio_and_keeps_the_real_rows() -> None:
    """Synthetic frauds follow the real rows, up to the asked ratio."""
    train = sample(Fold.TRAIN)
    values = np.nan_to_num(train.values)
    made, target = resample(values, train.target, 0.5, CATEGORICAL[:0], seed=1)
    assert np.array_equal(made[: len(values)], values)
    honest = int((target == 0).sum())
    assert int(target.sum()) == pytest.approx(0.5 * honest, abs=1)


def test_smotenc_invents_no_codes() -> None:
    """A categorical column of synthetic frauds holds only codes that exist."""
    train = sample(Fold.TRAIN)
    values = np.nan_to_num(train.values)
    made, _ = resample(values, train.target, 0.5, CATEGORICAL, seed=1)
    assert set(made[:, 3].tolist()) == set(values[:, 3].tolist())


def test_smote_refuses_a_handful_of_frauds() -> None:
    """Fewer frauds than neighbours are an error with the count, not a crash."""
    values, target = np.zeros((50, 2)), np.zeros(50, dtype=np.int8)
    target[:3] = 1
    with pytest.raises(TrainingError, match="too few frauds"):
        resample(values, target, 0.5, CATEGORICAL[:0], seed=1)


def test_names_describe_arms(tmp_path: Path) -> None:
    """Family, treatment and ratio come from the name; SMOTE_RATIO fills a missing ratio."""
    learning = settings_with(tmp_path, smote_ratio=0.3).learning
    assert make_arm("xgboost_smotenc_0.5", learning).ratio == 0.5
    assert make_arm("xgboost_smote", learning).ratio == 0.3
    assert make_arm("lightgbm_weight", learning).treatment is Treatment.WEIGHT
    assert make_arm("xgboost", learning).params["learning_rate"] == learning.learning_rate
    assert [arm_from(arm.to_tree()) for arm in plan_arms([], learning)] == plan_arms([], learning)


@pytest.mark.parametrize(
    "name", ["catboost", "xgboost_magic", "xgboost_weight_0.5", "xgboost_smote_7"]
)
def test_an_unknown_arm_is_refused_with_the_known_ones(name: str, tmp_path: Path) -> None:
    """The message lists what can be asked for."""
    with pytest.raises(TrainingError, match="logistic_regression"):
        make_arm(name, settings_with(tmp_path).learning)
