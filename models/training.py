"""Training as MLflow runs: a parent per training, a child per arm, a version at the end."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from contracts.errors import TrainingError
from contracts.settings import Settings
from models.arms import Arm
from models.bundle import GOLDEN_ROWS, save_bundle
from models.fit import fit_arm
from models.folds import Fold
from models.metrics import ranking_metrics
from models.objects import open_objects
from models.predictors import Predictor, load_predictor
from models.registry import CHALLENGER, register_bundle, version_of_run
from models.selection import Judged, bundle_details, fit_decider, golden_values, judged_metrics
from models.table import Rows, TrainingTable, load_description, load_table
from models.tracking import (
    ARM_TAG,
    fetch_folder,
    finished_child,
    log_folder,
    log_values,
    start_child,
    start_run,
    tracking_client,
)
from models.trainers import Sample

PREDICTOR_ARTIFACT = "predictor"
SELECTION_METRIC = "select_ap"


@dataclass(frozen=True, slots=True)
class TrainedArm:
    """A finished child run."""

    run_id: str
    arm: str
    metrics: dict[str, float]


def start_training(settings: Settings, table_uri: str, reference: str) -> str:
    """The parent run, with the table's folds and counts; the same reference finds it again."""
    client = tracking_client(settings.mlflow)
    description = load_description(open_objects(settings.object_store), table_uri)
    tags = {"fraud.table": table_uri, "fraud.content_hash": description.content_hash}
    run_id = start_run(settings, client, reference, tags)
    folds = {f"fold.{name}": value for name, value in description.folds.as_days().items()}
    counts = {
        f"{fold}_{what}": float(number)
        for fold, numbers in description.counts.items()
        for what, number in numbers.items()
    }
    identity = {"feature_set": description.feature_hash, "features": len(description.feature_names)}
    log_values(client, run_id, folds | identity, counts)
    return run_id


def train_arm(settings: Settings, table_uri: str, arm: Arm, parent_run_id: str) -> TrainedArm:
    """Fit one arm and log it as a child run; a finished one is found again.

    Raises:
        RegistryError: MLflow is out of reach.
        TrainingError: the arm cannot learn from this table.
    """
    client = tracking_client(settings.mlflow)
    known = finished_child(client, parent_run_id, arm.name)
    if known is not None:
        return TrainedArm(known.info.run_id, arm.name, dict(known.data.metrics))
    table = load_table(open_objects(settings.object_store), table_uri)
    run_id = start_child(client, parent_run_id, arm.name)
    try:
        metrics = _fit_and_log(client, run_id, table, arm, settings.learning.seed)
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")
    return TrainedArm(run_id, arm.name, metrics)


def _fit_and_log(
    client: Any, run_id: str, table: TrainingTable, arm: Arm, seed: int
) -> dict[str, float]:
    train, select = table.of(Fold.TRAIN), table.of(Fold.SELECT)
    fitted = fit_arm(
        arm, _sample(train), _sample(select), categorical=categorical_columns(table), seed=seed
    )
    judging = select.judging()
    found = ranking_metrics(judging, fitted.predictor.margin(judging.values))
    metrics = {f"select_{name}": value for name, value in found.items()}
    described = {"family": arm.family, "treatment": arm.treatment, "ratio": arm.ratio}
    log_values(client, run_id, described | fitted.params, metrics)
    with tempfile.TemporaryDirectory(prefix="fraud-arm-") as scratch:
        fitted.predictor.save(Path(scratch))
        log_folder(client, run_id, Path(scratch), PREDICTOR_ARTIFACT)
    return metrics


def _sample(rows: Rows) -> Sample:
    return Sample(rows.values, rows.target, rows.weight)


def categorical_columns(table: TrainingTable) -> Any:
    """Column numbers of the features that hold codes."""
    names = table.description.feature_names
    chosen = [names.index(name) for name in table.description.categorical]
    return np.array(chosen, dtype=np.int64)


def select_and_register(
    settings: Settings, table_uri: str, run_ids: Sequence[str], parent_run_id: str
) -> str:
    """The best arm by average precision on the first half of validation becomes a version.

    Raises:
        TrainingError: no arm has finished.
        RegistryError: MLflow is out of reach; nothing is registered.
    """
    client = tracking_client(settings.mlflow)
    name = settings.mlflow.model_name
    version = version_of_run(client, name, parent_run_id)
    if version is None:
        table = load_table(open_objects(settings.object_store), table_uri)
        best = _best_run(client, run_ids)
        with tempfile.TemporaryDirectory(prefix="fraud-bundle-") as scratch:
            tags = _make_bundle(settings, client, table, best, parent_run_id, Path(scratch))
            version = register_bundle(settings, client, parent_run_id, Path(scratch), tags)
        client.set_terminated(parent_run_id, "FINISHED")
    client.set_registered_model_alias(name, CHALLENGER, version)
    return version


def _best_run(client: Any, run_ids: Sequence[str]) -> Any:
    runs = [client.get_run(run_id) for run_id in run_ids]
    usable = [run for run in runs if SELECTION_METRIC in run.data.metrics]
    if not usable:
        raise TrainingError("no arm has finished", value=list(run_ids))
    return max(usable, key=lambda run: (run.data.metrics[SELECTION_METRIC], run.data.tags[ARM_TAG]))


def _make_bundle(
    settings: Settings,
    client: Any,
    table: TrainingTable,
    best: Any,
    parent_run_id: str,
    folder: Path,
) -> Mapping[str, str]:
    """Calibrate, set the policy, test once, write the bundle; its tags for the registry."""
    predictor = _fetched_predictor(best.info.run_id)
    decider = fit_decider(predictor, table.of(Fold.CALIBRATE), settings.policy)
    test = table.of(Fold.TEST)
    judging, every_card = test.judging(), test.where(test.is_evaluated)
    found = judged_metrics(Judged.by(decider, judging), judging, settings.policy)
    every = judged_metrics(Judged.by(decider, every_card), every_card, settings.policy)
    arm = {"name": best.data.tags[ARM_TAG], "run_id": best.info.run_id, **best.data.params}
    metrics = found | {f"with_known_cards_{name}": value for name, value in every.items()}
    save_bundle(
        folder,
        predictor=predictor,
        calibrator=decider.calibration.calibrator,
        policy=decider.policy,
        details=bundle_details(table, arm, metrics, settings.kafka.topic),
        golden_values=golden_values(table, GOLDEN_ROWS),
    )
    logged = {f"test_{name}": value for name, value in metrics.items()}
    chosen = {"chosen_arm": arm["name"], "calibrator": decider.calibration.calibrator.kind}
    log_values(client, parent_run_id, chosen, logged)
    return {
        "arm": arm["name"],
        "feature_set": table.description.feature_hash,
        "policy_version": decider.policy.version,
        "content_hash": table.description.content_hash,
        "test_ap": f"{found['ap']:.4f}",
    }


def _fetched_predictor(run_id: str) -> Predictor:
    with tempfile.TemporaryDirectory(prefix="fraud-arm-") as scratch:
        return load_predictor(fetch_folder(run_id, PREDICTOR_ARTIFACT, Path(scratch)))
