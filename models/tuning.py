"""Hyper-parameters by Optuna: a seeded, counted search on the first half of validation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from models.arms import Arm, Family
from models.fit import fit_arm
from models.metrics import average_precision, rank
from models.table import Rows
from models.trainers import Sample

if TYPE_CHECKING:
    import optuna

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Span:
    """Where a hyper-parameter is looked for; both ends belong to it."""

    low: float
    high: float
    is_log: bool = False
    is_whole: bool = False

    def draw(self, trial: "optuna.Trial", name: str) -> float:
        """The tuner's next value."""
        if self.is_whole:
            low, high = int(self.low), int(self.high)
            return float(trial.suggest_int(name, low, high, log=self.is_log))
        return float(trial.suggest_float(name, self.low, self.high, log=self.is_log))


SPACES: Mapping[Family, Mapping[str, Span]] = {
    Family.LOGISTIC_REGRESSION: {"C": Span(1e-3, 1e2, is_log=True)},
    Family.RANDOM_FOREST: {
        "max_depth": Span(6, 20, is_whole=True),
        "min_samples_leaf": Span(1, 50, is_log=True, is_whole=True),
        "max_samples": Span(0.2, 0.9),
    },
    Family.XGBOOST: {
        "max_depth": Span(3, 8, is_whole=True),
        "learning_rate": Span(0.03, 0.3, is_log=True),
        "min_child_weight": Span(1, 30, is_log=True),
        "subsample": Span(0.5, 1.0),
        "colsample_bytree": Span(0.2, 0.9),
        "reg_lambda": Span(0.5, 20, is_log=True),
    },
    Family.LIGHTGBM: {
        "num_leaves": Span(7, 63, is_log=True, is_whole=True),
        "learning_rate": Span(0.03, 0.3, is_log=True),
        "min_data_in_leaf": Span(10, 200, is_log=True, is_whole=True),
        "feature_fraction": Span(0.2, 0.9),
        "lambda_l2": Span(0.5, 20, is_log=True),
    },
    Family.NEURAL_NET: {"learning_rate": Span(0.02, 0.5, is_log=True)},
}


@dataclass(frozen=True, slots=True)
class Tuned:
    """The arm with the best settings found, and every trial, the arm's own settings first."""

    arm: Arm
    trials: tuple[dict[str, Any], ...]


def tune_arm(
    arm: Arm,
    train: Rows,
    select: Rows,
    *,
    categorical: NDArray[Any],
    seed: int,
    trials: int,
    say: Say,
) -> Tuned:
    """Measure the arm's own settings, then `trials` others; the best on `select` wins.

    The same rows, seed and count give the same settings: trials run one after the other, with
    Optuna's TPE sampler (Bergstra et al., 2011).
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    judging = select.judging()
    samples = [Sample(rows.values, rows.target, rows.weight) for rows in (train, select)]
    measured: list[dict[str, Any]] = []

    def measure(settings: dict[str, float]) -> float:
        tried = replace(arm, params={**arm.params, **settings})
        fitted = fit_arm(tried, *samples, categorical=categorical, seed=seed)
        ranking = rank(fitted.predictor.margin(judging.values))
        found = average_precision(ranking, judging.target, judging.weight)
        measured.append({"ap": found, "settings": settings})
        say(f"{arm.name}, {len(measured) - 1} of {trials} trials: {found:.4f} {settings}")
        return found

    measure({})
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    space = SPACES[arm.family]
    study.optimize(
        lambda trial: measure({name: span.draw(trial, name) for name, span in space.items()}),
        n_trials=trials,
    )
    best = max(measured, key=lambda trial: float(trial["ap"]))["settings"]
    return Tuned(replace(arm, params={**arm.params, **best}), tuple(measured))
