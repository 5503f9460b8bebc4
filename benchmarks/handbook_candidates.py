"""Our candidates for the Handbook's protocol, and how one is chosen and calibrated."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from typing import Any

import lightgbm
import numpy as np
from handbook_pool import Part, Pool
from handbook_protocol import Split, figures, mean_figures, split
from handbook_windows import Floats

from models.calibration import Calibrator, calibrate
from models.predictors import sigmoid

Say = Callable[[str], None]
SHARED = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_child_samples": 50,
    "feature_fraction": 0.5,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "max_bin": 255,
    "num_threads": 1,
    "deterministic": True,
    "force_col_wise": True,
    "seed": 1,
    "verbose": -1,
}
SAMPLED = {"pos_bagging_fraction": 1.0, "neg_bagging_fraction": 0.3}
"""Each tree sees every fraud and three honest rows in ten: a third of the time."""
WIDE = {"num_leaves": 31, "min_child_samples": 100, "feature_fraction": 0.3, "seed": 2}
RECIPES: Mapping[str, tuple[Mapping[str, Any], int]] = {
    "bagged": (SHARED | {"bagging_fraction": 0.8}, 300),
    "sampled": (SHARED | SAMPLED, 300),
    "wide": (SHARED | SAMPLED | WIDE, 300),
}
"""LightGBM's settings and its rounds."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Recipes whose margins are averaged, days of history, and their cleaning.

    `is_cleaned` leaves rows of cards out of training once they were known, as the test does.
    """

    name: str
    recipes: tuple[str, ...]
    history_days: int
    is_cleaned: bool = True


CANDIDATES = (
    Candidate("bagged_60", ("bagged",), 60),
    Candidate("sampled_60", ("sampled",), 60),
    Candidate("sampled_60_uncleaned", ("sampled",), 60, is_cleaned=False),
    Candidate("sampled_30", ("sampled",), 30),
    Candidate("sampled_80", ("sampled",), 80),
    Candidate("wide_60", ("wide",), 60),
    Candidate("mixed_60", ("sampled", "wide"), 60),
)


@dataclass(frozen=True, slots=True)
class Fit:
    """One model: a recipe on the history before a fold's test week."""

    recipe: str
    start: str
    history_days: int
    is_cleaned: bool


def fit_margin(part: Part, fit: Fit) -> tuple[Floats, float]:
    """Margins of the fold's test rows, and the seconds that the fit took."""
    fold = split(part.rows, fit.start, fit.history_days)
    train = fold.train
    if fit.is_cleaned:
        train = train[part.known_before[train] == 0]
    settings, rounds = RECIPES[fit.recipe]
    began = time.perf_counter()
    data = lightgbm.Dataset(part.values[train], part.rows.fraud[train], params=dict(settings))
    booster = lightgbm.train(dict(settings), data, rounds)
    seconds = time.perf_counter() - began
    margin = booster.predict(part.values[fold.test], raw_score=True, num_threads=1)
    return np.asarray(margin, dtype=np.float64), seconds


@dataclass(slots=True)
class Lab:
    """A table with a pool of processes; remembers margins, so that candidates share fits."""

    part: Part
    pool: Pool
    margins: dict[Fit, Floats] = field(default_factory=dict)
    seconds: dict[Fit, float] = field(default_factory=dict)

    def prepare(self, candidate: Candidate, starts: Iterable[str]) -> None:
        """Run the fits that are not known yet."""
        wanted = [fit for start in starts for fit in _fits(candidate, start)]
        missing = [fit for fit in dict.fromkeys(wanted) if fit not in self.margins]
        for fit, (margin, seconds) in zip(missing, self.pool.map(fit_margin, missing), strict=True):
            self.margins[fit], self.seconds[fit] = margin, seconds

    def margin(self, candidate: Candidate, start: str) -> tuple[Split, Floats]:
        """Mean margin of the candidate's recipes on a fold's test rows."""
        fold = split(self.part.rows, start, candidate.history_days)
        found = [self.margins[fit] for fit in _fits(candidate, start)]
        return fold, np.mean(found, axis=0)

    def fit_seconds(self, candidate: Candidate, starts: Sequence[str]) -> float:
        """Mean seconds of one fold's fits, one after the other on one thread."""
        total = sum(self.seconds[fit] for start in starts for fit in _fits(candidate, start))
        return total / len(starts)


def _fits(candidate: Candidate, start: str) -> list[Fit]:
    days, is_cleaned = candidate.history_days, candidate.is_cleaned
    return [Fit(recipe, start, days, is_cleaned) for recipe in candidate.recipes]


def run_candidate(lab: Lab, candidate: Candidate, starts: Sequence[str]) -> dict[str, float]:
    """Mean figures over folds."""
    lab.prepare(candidate, starts)
    found = []
    for start in starts:
        fold, margin = lab.margin(candidate, start)
        found.append(figures(lab.part.rows, fold.test, margin))
    return mean_figures(found)


def choose(lab: Lab, starts: Sequence[str], say: Say) -> tuple[Candidate, dict[str, Any]]:
    """The candidate with the best average precision on validation, and everyone's figures."""
    table: dict[str, Any] = {}
    for candidate in CANDIDATES:
        table[candidate.name] = run_candidate(lab, candidate, starts)
        say(f"validation, {candidate.name}: {table[candidate.name]}")
    best = max(CANDIDATES, key=lambda candidate: table[candidate.name]["ap"])
    return best, {"candidate": asdict(best), "validation": table}


def _two_weeks_earlier(start: str) -> str:
    return (date.fromisoformat(start) - timedelta(days=14)).isoformat()


def calibrator_for(lab: Lab, candidate: Candidate, start: str) -> Calibrator:
    """Fitted on the test week of the fold two weeks earlier, all labelled when this test begins."""
    fold, margin = lab.margin(candidate, _two_weeks_earlier(start))
    rows, weight = lab.part.rows, np.ones(len(margin))
    return calibrate(margin, rows.fraud[fold.test], weight, rows.customer[fold.test]).calibrator


def brier_scores(lab: Lab, candidate: Candidate, starts: Sequence[str]) -> dict[str, float]:
    """Mean Brier score over folds, of the model's own probabilities and of calibrated ones."""
    lab.prepare(candidate, [*starts, *(_two_weeks_earlier(start) for start in starts)])
    raw, calibrated = [], []
    for start in starts:
        fold, margin = lab.margin(candidate, start)
        target = lab.part.rows.fraud[fold.test]
        probability = calibrator_for(lab, candidate, start).probability(margin)
        raw.append(float(np.mean((sigmoid(margin) - target) ** 2)))
        calibrated.append(float(np.mean((probability - target) ** 2)))
    return {"none": float(np.mean(raw)), "calibrated": float(np.mean(calibrated))}
