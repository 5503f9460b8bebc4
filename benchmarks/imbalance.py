"""What each treatment of the imbalance is worth: ranking, Brier and money, on two histories.

    python benchmarks/imbalance.py [handbook_transactions.parquet]

Every arm is fitted on one fold of our synthetic world and on one of the Fraud-Detection-Handbook's
simulated transactions, with the platform's features, calibrated on the second half of validation
and tested on the same test days. Nothing is chosen. The figure goes to `docs/img/imbalance.png`.
"""

import json
import multiprocessing
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handbook_data import find_file
from imbalance_figure import draw
from imbalance_world import handbook_records, world_records

from contracts.settings import Settings, load_settings
from models.arms import ALL_ARMS, make_arm
from models.build import Records, assemble, platform_features
from models.evaluation import figures
from models.fit import fit_arm
from models.folds import Fold
from models.offline import informative
from models.selection import Judged, fit_decider
from models.table import Rows, TableSource, TrainingTable
from models.trainers import Sample
from models.training import categorical_columns

ROOT = Path(__file__).resolve().parent.parent
FIGURE = ROOT / "docs" / "img" / "imbalance.png"
ARMS = (*ALL_ARMS, "xgboost_smote_0.5", "xgboost_smote_1.0", "lightgbm_weight")
SIDE_BY_SIDE = 2
REPLICATES = 100
WORLD = {"maturity_days": 10}
HANDBOOK = {"maturity_days": 7, "train_days": 14, "validation_days": 14, "test_days": 7}
KEPT = {
    "ap": "ap",
    "brier_uncalibrated": "brier_before",
    "brier": "brier_after",
    "saved_per_day_minor": "saved_per_day_minor",
    "alerts_per_day": "alerts_per_day",
}


def say(text: str) -> None:
    """A line of progress on standard error."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class Case:
    """A history's table and the settings that it was laid out with."""

    settings: Settings
    table: TrainingTable


def cases() -> Iterator[tuple[str, Case]]:
    """Our world; the Handbook's transactions too where the file is."""
    path, settings = find_file(__doc__), load_settings(ROOT, environ={})
    say("making the world")
    yield "world", make_case(settings, world_records(settings, settings.world.backfill_days), WORLD)
    if path is None:
        say("no handbook_transactions.parquet: give its path to have it beside the world")
        return
    say("reading the Handbook's transactions")
    yield "handbook", make_case(settings, handbook_records(settings, path), HANDBOOK)


def make_case(settings: Settings, records: Records, lengths: dict[str, int]) -> Case:
    """Features and folds."""
    learning = settings.learning.model_copy(update=lengths)
    source = TableSource("imbalance", "offline", "offline", {})
    table, _ = informative(assemble(records, learning, platform_features(), source))
    return Case(settings.model_copy(update={"learning": learning}), table)


def run_arm(name: str) -> dict[str, Any]:
    """Fit, calibrate and test one arm on this process's case."""
    settings, table = _CASE[0].settings, _CASE[0].table
    train, stop = (_sample(table.of(fold)) for fold in (Fold.TRAIN, Fold.SELECT))
    began = time.perf_counter()
    seed, codes = settings.learning.seed, categorical_columns(table)
    fitted = fit_arm(make_arm(name, settings.learning), train, stop, categorical=codes, seed=seed)
    seconds = round(time.perf_counter() - began, 1)
    decider = fit_decider(fitted.predictor, table.of(Fold.CALIBRATE), settings.policy)
    rows = table.of(Fold.TEST).judging()
    found = figures(Judged.by(decider, rows), rows, settings.policy, seed, REPLICATES)
    told: dict[str, Any] = {shown: found[name].value for name, shown in KEPT.items()}
    told["ap_interval"] = [found["ap"].low, found["ap"].high]
    return told | {"calibrator": decider.calibration.calibrator.kind, "fit_seconds": seconds}


_CASE: list[Case] = []
"""The case of a worker process, put there once by `_keep`."""


def _keep(case: Case) -> None:
    _CASE[:] = [case]


def _sample(rows: Rows) -> Sample:
    return Sample(rows.values, rows.target, rows.weight)


def run_case(case: Case) -> dict[str, Any]:
    """Every arm, two at a time."""
    say(f"folds: {case.table.description.counts}")
    context, found = multiprocessing.get_context("spawn"), {}
    with ProcessPoolExecutor(
        SIDE_BY_SIDE, mp_context=context, initializer=_keep, initargs=(case,)
    ) as pool:
        waiting = {pool.submit(run_arm, name): name for name in ARMS}
        for future in as_completed(waiting):
            found[waiting[future]] = future.result()
            say(f"{waiting[future]}: {found[waiting[future]]}")
    return {"arms": {n: found[n] for n in ARMS}, "counts": case.table.description.counts}


def main() -> None:
    """Every arm on each history; the last line is one JSON object."""
    found = {name: run_case(case) for name, case in cases()}
    draw(found, FIGURE)
    say(f"figure: {FIGURE}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
