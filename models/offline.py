"""The whole protocol on one labelled table, without servers: features, arms, policy, report."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from contracts.columns import EVENT_SCHEMA, SOURCE_SCHEMA
from contracts.errors import TrainingError
from contracts.label_records import labels_beside
from contracts.settings import Settings
from contracts.wire import DECISION_SCHEMA, OUTCOME_SCHEMA
from models.arms import Arm
from models.build import FeaturePlan, Records, assemble
from models.evaluation import Figure
from models.fit import fit_arm
from models.folds import Fold
from models.metrics import average_precision, rank
from models.predictors import Predictor
from models.reporting import assess
from models.selection import fit_decider
from models.table import TableSource, TrainingTable
from models.trainers import Sample

Say = Callable[[str], None]
HEADLINES = ("ap", "auc", "cp100", "brier", "ece")


@dataclass(frozen=True, slots=True)
class OfflineResult:
    """The chosen arm and its figures, as JSON and as the model card."""

    tree: dict[str, Any]
    card: str


def offline_records(labelled: pa.Table, topic: str) -> Records:
    """A table of events with `is_fraud` and `label_time` as a history without decisions.

    No feature knows of a label before its `label_time`, however early in the table it stands.
    """
    return Records(
        events=labelled.select(EVENT_SCHEMA.names),
        labels=labels_beside(labelled),
        decisions=pa.schema([*SOURCE_SCHEMA, *DECISION_SCHEMA]).empty_table(),
        outcomes=pa.schema([*SOURCE_SCHEMA, *OUTCOME_SCHEMA]).empty_table(),
        topic=topic,
    )


def evaluate_offline(
    settings: Settings,
    labelled: pa.Table,
    plan: FeaturePlan,
    arms: Sequence[Arm],
    report: Path,
    say: Say,
) -> OfflineResult:
    """Run the protocol and write report, figures and pictures into `report`.

    Raises:
        TrainingError: the table cannot support learning; says why.
    """
    say(f"features of {len(labelled):,} transactions")
    records = offline_records(labelled, settings.kafka.topic)
    source = TableSource("offline", "offline", "offline", {})
    table, left_out = informative(assemble(records, settings.learning, plan, source))
    if left_out:
        say(f"{len(left_out)} features left out, the table lacks what they need: {left_out}")
    predictors = {}
    for arm in arms:
        say(f"fitting {arm.name} on {int((table.fold == Fold.TRAIN).sum()):,} rows")
        predictors[arm.name] = _fit(arm, table, settings.learning.seed)
    return _report(settings, table, predictors, left_out, report, say)


def informative(table: TrainingTable) -> tuple[TrainingTable, list[str]]:
    """Without features that are missing or constant throughout the training fold."""
    values = table.of(Fold.TRAIN).values
    missing = np.isnan(values)
    is_empty = missing.all(axis=0)
    span = np.nanmax(np.where(is_empty, 0.0, values), axis=0) - np.nanmin(
        np.where(is_empty, 0.0, values), axis=0
    )
    keep = ~is_empty & ((span > 0) | missing.any(axis=0))
    names = table.description.feature_names
    kept = tuple(name for name, good in zip(names, keep, strict=True) if good)
    left_out = [name for name, good in zip(names, keep, strict=True) if not good]
    if not kept:
        raise TrainingError("no feature varies in the training fold")
    codes = tuple(name for name in table.description.categorical if name in kept)
    described = replace(
        table.description,
        feature_names=kept,
        categorical=codes,
        notes=table.description.notes | {"features_left_out": ", ".join(left_out) or "none"},
    )
    rows = replace(table.rows, values=table.rows.values[:, keep])
    return TrainingTable(described, rows, table.fold), left_out


def _fit(arm: Arm, table: TrainingTable, seed: int) -> Predictor:
    train, stop = (table.of(fold) for fold in (Fold.TRAIN, Fold.SELECT))
    samples = [Sample(rows.values, rows.target, rows.weight) for rows in (train, stop)]
    names = table.description.feature_names
    codes = np.array([names.index(n) for n in table.description.categorical], dtype=np.int64)
    return fit_arm(arm, *samples, categorical=codes, seed=seed).predictor


def _told(figure: Figure) -> dict[str, Any]:
    """A figure for JSON, which knows no NaN: null is what could not be measured."""
    value, low, high = (
        None if number != number else number for number in (figure.value, figure.low, figure.high)
    )
    return {"value": value, "interval": [low, high]}


def _report(
    settings: Settings,
    table: TrainingTable,
    predictors: dict[str, Predictor],
    left_out: list[str],
    report: Path,
    say: Say,
) -> OfflineResult:
    select = table.of(Fold.SELECT).judging()
    scores = {
        name: average_precision(rank(predictor.margin(select.values)), select.target, select.weight)
        for name, predictor in predictors.items()
    }
    best = max(scores, key=lambda name: (scores[name], name))
    say(f"{best} is best on validation; calibrating it and testing it once")
    decider = fit_decider(predictors[best], table.of(Fold.CALIBRATE), settings.policy)
    report.mkdir(parents=True, exist_ok=True)
    assessment = assess(
        decider,
        table,
        settings.policy,
        arm=best,
        arms=scores,
        seed=settings.learning.seed,
        folder=report,
    )
    tree: dict[str, Any] = {name: _told(assessment.figures[name]) for name in HEADLINES}
    tree |= {"arm": best, "arms": scores, "features_left_out": left_out}
    tree["folds"] = table.description.folds.as_days()
    tree["counts"] = table.description.counts
    (report / "result.json").write_text(json.dumps(tree, indent=1))
    return OfflineResult(tree, assessment.card)
