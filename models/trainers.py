"""One trainer per model family: prepared rows in, a predictor and its settings out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray

from models.arms import Family
from models.lightgbm_family import BOOSTED, LightgbmPredictor
from models.neural_family import HIDDEN, STEP_SCALE, NeuralPredictor
from models.predictors import LinearPredictor, Predictor, XgboostPredictor
from models.preprocess import Floats, Preprocess

FIT_THREADS = 1
"""Arms run side by side; threads that wait for each other on a busy machine cost more than they
give."""


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

    def preparation(self) -> Preprocess:
        """The preparation, for families that cannot do without.

        Raises:
            ValueError: there is none; `models.fit` always gives one to such families.
        """
        if self.prepare is None:
            raise ValueError("this family needs prepared features")
        return self.prepare


@dataclass(frozen=True, slots=True)
class Fitted:
    """A predictor, and what MLflow should know about how it came about."""

    predictor: Predictor
    params: dict[str, Any]


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

FOREST_DEFAULTS: Mapping[str, Any] = {
    "n_estimators": 100,
    "max_depth": 14,
    "min_samples_leaf": 5,
    "max_features": "sqrt",
    "max_samples": 0.3,
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


def _fit_forest(task: Task) -> Fitted:
    from sklearn.ensemble import RandomForestClassifier

    from models.forest_family import ForestPredictor, booster_of

    params = dict(FOREST_DEFAULTS) | dict(task.params)
    for name in ("n_estimators", "max_depth", "min_samples_leaf"):
        params[name] = int(params[name])
    forest = RandomForestClassifier(**params, n_jobs=FIT_THREADS, random_state=task.seed)
    forest.fit(task.train.values, task.train.target, sample_weight=task.train.weight)
    return Fitted(ForestPredictor(booster_of(forest), task.prepare), params)


def _fit_lightgbm(task: Task) -> Fitted:
    import lightgbm

    settings = dict(BOOSTED) | dict(task.params)
    rounds, patience = int(settings.pop("rounds")), int(settings.pop("patience"))
    for name in ("num_leaves", "max_bin", "min_data_in_leaf"):
        settings[name] = int(settings[name])
    settings |= {
        "num_threads": FIT_THREADS,
        "seed": task.seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
    }
    kept = {"params": {"verbose": -1}, "free_raw_data": True}
    train = lightgbm.Dataset(task.train.values, task.train.target, weight=task.train.weight, **kept)
    stop = train.create_valid(task.stop.values, task.stop.target, weight=task.stop.weight)
    stopping = lightgbm.early_stopping(patience, verbose=False)
    booster = lightgbm.train(settings, train, rounds, valid_sets=[stop], callbacks=[stopping])
    used = {**settings, "rounds": rounds, "best_rounds": booster.best_iteration}
    return Fitted(LightgbmPredictor(booster, task.prepare), used)


def _fit_logistic(task: Task) -> Fitted:
    from sklearn.linear_model import LogisticRegression

    params = {"C": float(task.params.get("C", 1.0)), "max_iter": 200, "tol": 1e-3}
    model = LogisticRegression(**params)
    model.fit(task.train.values, task.train.target, sample_weight=task.train.weight)
    weights, intercept = model.coef_[0].astype(np.float64), float(model.intercept_[0])
    return Fitted(LinearPredictor(weights, intercept, task.preparation()), params)


def _fit_neural(task: Task) -> Fitted:
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    params = {
        "hidden_layer_sizes": HIDDEN,
        "learning_rate_init": STEP_SCALE * float(task.params["learning_rate"]),
        "batch_size": min(int(task.params["batch_size"]), len(task.train.target)),
        "max_iter": int(task.params["epochs"]),
        "alpha": 1e-4,
    }
    model = MLPClassifier(**params, random_state=task.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # EPOCHS says when to stop
        model.fit(task.train.values, task.train.target, sample_weight=task.train.weight)
    weights = [np.asarray(weight, dtype=np.float64) for weight in model.coefs_]
    biases = [np.asarray(bias, dtype=np.float64) for bias in model.intercepts_]
    return Fitted(NeuralPredictor(weights, biases, task.preparation()), params)


TRAINERS: Mapping[Family, Callable[[Task], Fitted]] = {
    Family.LOGISTIC_REGRESSION: _fit_logistic,
    Family.RANDOM_FOREST: _fit_forest,
    Family.XGBOOST: _fit_xgboost,
    Family.LIGHTGBM: _fit_lightgbm,
    Family.NEURAL_NET: _fit_neural,
}
