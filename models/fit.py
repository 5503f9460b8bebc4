"""Fit one arm on a training fold; the selection fold only stops boosting, it is never learned."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray

from models.arms import RESAMPLED, Arm, Family, Treatment
from models.predictors import LinearPredictor, Predictor, XgboostPredictor
from models.preprocess import Floats, Preprocess, fit_preprocess
from models.resample import resample

FIT_THREADS = 1
"""Arms are fitted side by side; on two cores a second thread each only waits for the first."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows as a trainer sees them; `weight` is 1/propensity, times a class weight if asked."""

    values: Floats
    target: NDArray[np.int8]
    weight: Floats


@dataclass(frozen=True, slots=True)
class Task:
    """What a family's trainer gets: prepared training rows, rows to stop on, its settings.

    `prepare` has already been applied to both; the predictor must apply it to raw features.
    """

    train: Sample
    stop: Sample
    prepare: Preprocess | None
    params: Mapping[str, float]
    seed: int


@dataclass(frozen=True, slots=True)
class Fitted:
    """A predictor, and what MLflow should know about how it came about."""

    predictor: Predictor
    params: dict[str, Any]


def fit_arm(
    arm: Arm, train: Sample, stop: Sample, *, categorical: NDArray[np.int64], seed: int
) -> Fitted:
    """Prepare and resample inside the training fold, then fit.

    `categorical` are the columns that hold codes; only SMOTENC looks at them.
    """
    prepare = _preparation(arm, train.values)
    ready, stopping = _prepared(train, prepare), _prepared(stop, prepare)
    if arm.treatment in RESAMPLED:
        ready = _resampled(arm, ready, categorical, seed)
    if arm.treatment is Treatment.WEIGHT:
        ready = _class_weighted(ready)
    task = Task(ready, stopping, prepare, arm.params, seed)
    fitted = TRAINERS[arm.family](task)
    return Fitted(fitted.predictor, fitted.params | {"train_rows": len(ready.target)})


def _preparation(arm: Arm, values: Floats) -> Preprocess | None:
    """Trees read raw features; SMOTE, sums and nets need them complete and on one scale."""
    is_tree = arm.family not in (Family.LOGISTIC_REGRESSION, Family.NEURAL_NET)
    if is_tree and arm.treatment not in RESAMPLED:
        return None
    return fit_preprocess(values, is_log=not is_tree)


def _prepared(sample: Sample, prepare: Preprocess | None) -> Sample:
    if prepare is None:
        return sample
    return Sample(prepare.apply(sample.values), sample.target, sample.weight)


def _resampled(arm: Arm, train: Sample, categorical: NDArray[np.int64], seed: int) -> Sample:
    codes = categorical if arm.treatment is Treatment.SMOTENC else categorical[:0]
    values, target = resample(train.values, train.target, float(arm.ratio or 1.0), codes, seed)
    made = len(target) - len(train.target)
    return Sample(values, target, np.concatenate([train.weight, np.ones(made)]))


def _class_weighted(train: Sample) -> Sample:
    """Each class weighs half of the whole."""
    share = np.average(train.target, weights=train.weight)
    factor = np.where(train.target == 1, 0.5 / share, 0.5 / (1.0 - share))
    return Sample(train.values, train.target, train.weight * factor)


XGBOOST_DEFAULTS: Mapping[str, Any] = {
    "objective": "binary:logistic",
    "eval_metric": "aucpr",
    "tree_method": "hist",
    # From version 2 on the defaults estimate the base score and use 256 bins: both cost precision
    # with one fraud in two hundred.
    "base_score": 0.5,
    "max_bin": 512,
    "max_depth": 5,
    "learning_rate": 0.1,
    "min_child_weight": 5.0,
    "subsample": 0.8,
    "colsample_bytree": 0.4,
    "reg_lambda": 2.0,
    "rounds": 160,
    "patience": 20,
}


def _fit_xgboost(task: Task) -> Fitted:
    settings = dict(XGBOOST_DEFAULTS) | dict(task.params)
    rounds, patience = int(settings.pop("rounds")), int(settings.pop("patience"))
    for name in ("max_bin", "max_depth"):
        settings[name] = int(settings[name])
    settings |= {"nthread": FIT_THREADS, "seed": task.seed}
    train = _quantile_matrix(task.train, settings["max_bin"])
    stop = _quantile_matrix(task.stop, settings["max_bin"], train)
    booster = xgboost.train(
        settings,
        train,
        num_boost_round=rounds,
        evals=[(stop, "select")],
        early_stopping_rounds=patience,
        verbose_eval=False,
    )
    best = booster.best_iteration + 1
    used = {**settings, "rounds": rounds, "patience": patience, "best_rounds": best}
    return Fitted(XgboostPredictor(booster[:best], task.prepare), used)


def _quantile_matrix(
    sample: Sample, max_bin: int, ref: xgboost.QuantileDMatrix | None = None
) -> xgboost.QuantileDMatrix:
    return xgboost.QuantileDMatrix(
        sample.values.astype(np.float32),
        sample.target,
        weight=sample.weight,
        max_bin=max_bin,
        ref=ref,
        nthread=FIT_THREADS,
    )


def _fit_logistic(task: Task) -> Fitted:
    from sklearn.linear_model import LogisticRegression

    if task.prepare is None:
        raise ValueError("logistic regression needs prepared features")
    params = {"C": float(task.params.get("C", 1.0)), "max_iter": 200, "tol": 1e-3}
    model = LogisticRegression(**params)
    model.fit(task.train.values, task.train.target, sample_weight=task.train.weight)
    weights, intercept = model.coef_[0].astype(np.float64), float(model.intercept_[0])
    return Fitted(LinearPredictor(weights, intercept, task.prepare), params)


TRAINERS: Mapping[Family, Callable[[Task], Fitted]] = {
    Family.XGBOOST: _fit_xgboost,
    Family.LOGISTIC_REGRESSION: _fit_logistic,
}
