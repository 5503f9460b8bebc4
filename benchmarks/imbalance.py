"""What each treatment of the imbalance is worth on our synthetic world: ranking, Brier, money.

    python benchmarks/imbalance.py

Makes the world offline, replays its features, and trains every arm on one fold. Choices play no
part: each arm is calibrated on the second half of validation and tested on the same test days.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from imbalance_world import world_records

from contracts.settings import Settings, load_settings
from models.arms import ALL_ARMS, make_arm
from models.build import assemble, platform_features
from models.fit import fit_arm
from models.folds import Fold
from models.metrics import decision_metrics, probability_metrics, ranking_metrics
from models.predictors import sigmoid
from models.selection import fit_decider
from models.table import Rows, TableSource, TrainingTable
from models.trainers import Sample

MATURITY_DAYS = 10
ARMS = (*ALL_ARMS, "xgboost_smote_0.5", "xgboost_smote_1.0", "lightgbm_weight")


def say(text: str) -> None:
    """A line of progress on standard error."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def make_table(settings: Settings) -> TrainingTable:
    """Features and folds of the world."""
    records = world_records(settings, settings.world.backfill_days)
    source = TableSource("imbalance", "offline", "offline", {})
    return assemble(records, settings.learning, platform_features(), source)


def run_arm(settings: Settings, table: TrainingTable, name: str) -> dict[str, Any]:
    """Fit, calibrate and test one arm."""
    train, stop, test = (table.of(fold) for fold in (Fold.TRAIN, Fold.SELECT, Fold.TEST))
    began = time.perf_counter()
    names = table.description.feature_names
    codes = np.array([names.index(n) for n in table.description.categorical], dtype=np.int64)
    arm = make_arm(name, settings.learning)
    fitted = fit_arm(
        arm, _sample(train), _sample(stop), categorical=codes, seed=settings.learning.seed
    )
    seconds = time.perf_counter() - began
    decider = fit_decider(fitted.predictor, table.of(Fold.CALIBRATE), settings.policy)
    rows = test.judging()
    margin = decider.raw(rows.values)
    probability = decider.score(rows.values)
    decision = decider.policy.choose(probability, rows.amount_minor)
    return {
        "ap": ranking_metrics(rows, margin)["ap"],
        "brier_before": probability_metrics(rows, sigmoid(margin))["brier"],
        "brier_after": probability_metrics(rows, probability)["brier"],
        **decision_metrics(settings.policy, rows, decision),
        "fit_seconds": seconds,
    }


def _sample(rows: Rows) -> Sample:
    return Sample(rows.values, rows.target, rows.weight)


def main() -> None:
    """Every arm; the last line is one JSON object."""
    settings = load_settings(Path(__file__).resolve().parent.parent, environ={})
    learning = settings.learning.model_copy(update={"maturity_days": MATURITY_DAYS})
    settings = settings.model_copy(update={"learning": learning})
    say("making the world")
    table = make_table(settings)
    say(f"folds: {table.description.counts}")
    arms: dict[str, Any] = {}
    for name in ARMS:
        arms[name] = run_arm(settings, table, name)
        say(f"{name}: {arms[name]}")
    print(json.dumps({"arms": arms, "counts": table.description.counts}))


if __name__ == "__main__":
    main()
