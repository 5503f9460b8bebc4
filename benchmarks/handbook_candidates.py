"""Our candidates for the Handbook's protocol, and how one is chosen and calibrated."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from typing import Any

import lightgbm
import numpy as np
import xgboost
from handbook_data import Transactions
from handbook_protocol import Split, figures, mean_figures, split
from handbook_windows import Floats

from models.calibration import Calibrator, calibrate
from models.predictors import sigmoid

Say = Callable[[str], None]
THREADS = 2
LIGHTGBM = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_child_samples": 50,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "max_bin": 1023,
    "num_threads": THREADS,
    "deterministic": True,
    "force_row_wise": True,
    "seed": 1,
    "verbose": -1,
}
LIGHTGBM_ROUNDS = 300
XGBOOST = {
    "objective": "binary:logistic",
    "base_score": 0.5,
    "tree_method": "hist",
    "max_bin": 4096,
    "max_depth": 5,
    "learning_rate": 0.07,
    "min_child_weight": 10,
    "subsample": 0.8,
    "colsample_bytree": 0.5,
    "reg_lambda": 5.0,
    "nthread": THREADS,
    "seed": 1,
}
XGBOOST_ROUNDS = 200


@dataclass(frozen=True, slots=True)
class Candidate:
    """Families whose margins are averaged, days of history, and their cleaning.

    `is_cleaned` leaves rows of cards out of training once they were known, as the test does.
    """

    name: str
    families: tuple[str, ...]
    history_days: int
    is_cleaned: bool = False


CANDIDATES = (
    Candidate("lightgbm_60", ("lightgbm",), 60),
    Candidate("lightgbm_60_cleaned", ("lightgbm",), 60, is_cleaned=True),
    Candidate("lightgbm_30", ("lightgbm",), 30),
    Candidate("lightgbm_80", ("lightgbm",), 80),
    Candidate("xgboost_60", ("xgboost",), 60),
    Candidate("both_60", ("lightgbm", "xgboost"), 60),
)


@dataclass(slots=True)
class Lab:
    """Rows with features; remembers margins, so that candidates share fits."""

    rows: Transactions
    values: Floats
    known_before: Floats
    margins: dict[tuple[str, str, int, bool], Floats] = field(default_factory=dict)
    fit_seconds: float = 0.0

    def margin(self, candidate: Candidate, start: str) -> tuple[Split, Floats]:
        """Mean margin of the candidate's families on a fold's test rows."""
        fold = split(self.rows, start, candidate.history_days)
        found = [self._family(family, candidate, start, fold) for family in candidate.families]
        return fold, np.mean(found, axis=0)

    def _family(self, family: str, candidate: Candidate, start: str, fold: Split) -> Floats:
        key = (family, start, candidate.history_days, candidate.is_cleaned)
        if key not in self.margins:
            train = fold.train
            if candidate.is_cleaned:
                train = train[self.known_before[train] == 0]
            began = time.perf_counter()
            self.margins[key] = FITTERS[family](self, train, fold.test)
            self.fit_seconds += time.perf_counter() - began
        return self.margins[key]


def _lightgbm(lab: Lab, train: Any, test: Any) -> Floats:
    data = lightgbm.Dataset(lab.values[train], lab.rows.fraud[train], params=LIGHTGBM)
    booster = lightgbm.train(LIGHTGBM, data, LIGHTGBM_ROUNDS)
    return np.asarray(booster.predict(lab.values[test], raw_score=True), dtype=np.float64)


def _xgboost(lab: Lab, train: Any, test: Any) -> Floats:
    data = xgboost.QuantileDMatrix(
        lab.values[train], lab.rows.fraud[train], max_bin=XGBOOST["max_bin"]
    )
    booster = xgboost.train(XGBOOST, data, XGBOOST_ROUNDS)
    raw = booster.inplace_predict(lab.values[test], predict_type="margin")
    return np.asarray(raw, dtype=np.float64)


FITTERS: Mapping[str, Callable[[Lab, Any, Any], Floats]] = {
    "lightgbm": _lightgbm,
    "xgboost": _xgboost,
}


def run_candidate(lab: Lab, candidate: Candidate, starts: Sequence[str]) -> dict[str, float]:
    """Mean figures over folds."""
    found = []
    for start in starts:
        fold, margin = lab.margin(candidate, start)
        found.append(figures(lab.rows, fold.test, margin))
    return mean_figures(found)


def choose(lab: Lab, starts: Sequence[str], say: Say) -> tuple[Candidate, dict[str, Any]]:
    """The candidate with the best average precision on validation, and everyone's figures."""
    table: dict[str, Any] = {}
    for candidate in CANDIDATES:
        table[candidate.name] = run_candidate(lab, candidate, starts)
        say(f"validation, {candidate.name}: {table[candidate.name]}")
    best = max(CANDIDATES, key=lambda candidate: table[candidate.name]["ap"])
    return best, {"candidate": asdict(best), "validation": table}


def calibrator_for(lab: Lab, candidate: Candidate, start: str) -> Calibrator:
    """Fitted on the test week of the fold two weeks earlier, all labelled when this test begins."""
    earlier = (date.fromisoformat(start) - timedelta(days=14)).isoformat()
    fold, margin = lab.margin(candidate, earlier)
    weight = np.ones(len(margin))
    return calibrate(
        margin, lab.rows.fraud[fold.test], weight, lab.rows.customer[fold.test]
    ).calibrator


def brier_scores(lab: Lab, candidate: Candidate, starts: Sequence[str]) -> dict[str, float]:
    """Mean Brier score over folds, of the model's own probabilities and of calibrated ones."""
    raw, calibrated = [], []
    for start in starts:
        fold, margin = lab.margin(candidate, start)
        target = lab.rows.fraud[fold.test]
        probability = calibrator_for(lab, candidate, start).probability(margin)
        raw.append(float(np.mean((sigmoid(margin) - target) ** 2)))
        calibrated.append(float(np.mean((probability - target) ** 2)))
    return {"none": float(np.mean(raw)), "calibrated": float(np.mean(calibrated))}
