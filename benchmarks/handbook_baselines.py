"""The Handbook's own models on its own features: grids, picked per figure on validation folds."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xgboost
from handbook_pool import Part, Pool
from handbook_protocol import figures, mean_figures, split
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

PUBLISHED: Mapping[str, Mapping[str, float]] = {
    "logistic_regression": {"auc": 0.868, "ap": 0.623, "cp100": 0.297},
    "random_forest": {"auc": 0.870, "ap": 0.678, "cp100": 0.299},
    "xgboost": {"auc": 0.869, "ap": 0.687, "cp100": 0.303},
    "neural_net": {"auc": 0.876, "ap": 0.675, "cp100": 0.303},
    "lstm": {"auc": 0.876, "ap": 0.665, "cp100": 0.297},
}
TOLERANCE = {"logistic_regression": 0.005, "random_forest": 0.005, "xgboost": 0.01}
PUBLISHED_FEATURES = 15
"""The first columns of the table are the published features."""
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Baseline:
    """A family and one point of its grid."""

    family: str
    params: Mapping[str, Any]

    def model(self) -> Any:
        """The estimator, after standard scaling as published."""
        return make_pipeline(StandardScaler(), MAKERS[self.family](**self.params))


def _forest(**params: Any) -> Any:
    return RandomForestClassifier(n_estimators=100, random_state=0, n_jobs=1, **params)


def _boosted(**params: Any) -> Any:
    # The library's defaults changed in version 2; these are what the book ran with.
    return xgboost.XGBClassifier(
        n_estimators=100, base_score=0.5, tree_method="exact", n_jobs=1, random_state=0, **params
    )


def _logistic(**params: Any) -> Any:
    return LogisticRegression(max_iter=2000, **params)


MAKERS: Mapping[str, Callable[..., Any]] = {
    "logistic_regression": _logistic,
    "random_forest": _forest,
    "xgboost": _boosted,
}
GRID = (
    *(Baseline("logistic_regression", {"C": c}) for c in (0.1, 1.0, 10.0, 100.0)),
    *(Baseline("random_forest", {"max_depth": depth}) for depth in (10, 20)),
    *(
        Baseline("xgboost", {"max_depth": depth, "learning_rate": rate})
        for depth, rate in ((3, 0.3), (3, 0.1), (6, 0.1))
    ),
)


@dataclass(frozen=True, slots=True)
class Trial:
    """A baseline on one fold."""

    baseline: Baseline
    start: str


def run_trial(part: Part, trial: Trial) -> dict[str, float]:
    """Figures on a fold's test week, trained on the week from its start."""
    rows, fold = part.rows, split(part.rows, trial.start)
    values = part.values[:, :PUBLISHED_FEATURES]
    model = trial.baseline.model().fit(values[fold.train], rows.fraud[fold.train])
    return figures(rows, fold.test, model.predict_proba(values[fold.test])[:, 1])


def run_baseline(pool: Pool, baseline: Baseline, starts: Iterable[str]) -> dict[str, float]:
    """Mean figures over prequential folds."""
    return mean_figures(pool.map(run_trial, [Trial(baseline, start) for start in starts]))


def choose_baselines(pool: Pool, starts: Iterable[str], say: Say) -> dict[str, dict[str, Baseline]]:
    """Per family and figure the best point of the grid on the validation folds."""
    found: list[tuple[Baseline, dict[str, float]]] = []
    for baseline in GRID:
        found.append((baseline, run_baseline(pool, baseline, starts)))
        say(f"validation, {baseline.family} {dict(baseline.params)}: {found[-1][1]}")
    chosen: dict[str, dict[str, Baseline]] = {}
    for family in MAKERS:
        mine = [(b, f) for b, f in found if b.family == family]
        best = {name: int(np.argmax([f[name] for _, f in mine])) for name in ("auc", "ap", "cp100")}
        chosen[family] = {name: mine[index][0] for name, index in best.items()}
    return chosen


def run_chosen(
    pool: Pool, chosen: Mapping[str, Baseline], starts: Iterable[str]
) -> dict[str, float]:
    """Each figure by the point chosen for it, as the Handbook reports its models."""
    listed = list(starts)
    distinct: dict[str, dict[str, float]] = {}
    for baseline in chosen.values():
        key = str(baseline)
        if key not in distinct:
            distinct[key] = run_baseline(pool, baseline, listed)
    return {name: distinct[str(baseline)][name] for name, baseline in chosen.items()}
