"""Training as MLflow runs: a parent per training, a child per arm, a version at the end."""

import logging
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from contracts.errors import TrainingError
from contracts.settings import LearningSettings, Settings
from models.arms import Arm
from models.bundle import GOLDEN_ROWS, save_bundle
from models.evaluation import flat
from models.fit import fit_arm
from models.folds import Fold
from models.metrics import ranking_metrics
from models.objects import open_objects
from models.predictors import Predictor, load_predictor
from models.registry import CHALLENGER, register_bundle, version_of_run
from models.reporting import assess
from models.selection import Decider, bundle_details, fit_decider, golden_values
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
from models.trainers import Fitted, Sample
from models.tuning import tune_arm

_log = logging.getLogger(__name__)
PREDICTOR_ARTIFACT = "predictor"
REPORT_ARTIFACT = "report"
TUNING_ARTIFACT = "tuning.json"
SELECTION_METRIC = "selection_ap"


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
    from mlflow.exceptions import MlflowException

    client = tracking_client(settings.mlflow)
    known = finished_child(client, parent_run_id, arm.name)
    if known is not None:
        return TrainedArm(known.info.run_id, arm.name, dict(known.data.metrics))
    table = load_table(open_objects(settings.object_store), table_uri)
    run_id = start_child(client, parent_run_id, arm.name)
    try:
        metrics = _fit_and_log(client, run_id, table, arm, settings)
    except BaseException:  # a cancelled task too must not leave a run that looks alive
        with suppress(MlflowException):  # the server may be what failed; the cause matters more
            client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")
    return TrainedArm(run_id, arm.name, metrics)


def _fit_and_log(
    client: Any, run_id: str, table: TrainingTable, arm: Arm, settings: Settings
) -> dict[str, float]:
    chosen = _tuned(client, run_id, table, arm, settings.learning)
    fitted = _fit(chosen, table, settings.learning.seed)
    metrics = {f"select_{name}": value for name, value in _ranked(fitted, table).items()}
    earlier = _earlier_precision(settings, table, chosen)
    metrics |= {f"select_ap_back_{back}": value for back, value in enumerate(earlier, start=1)}
    metrics[SELECTION_METRIC] = float(np.mean([metrics["select_ap"], *earlier]))
    described = {"family": arm.family, "treatment": arm.treatment, "ratio": arm.ratio}
    log_values(client, run_id, described | fitted.params, metrics)
    with tempfile.TemporaryDirectory(prefix="fraud-arm-") as scratch:
        fitted.predictor.save(Path(scratch))
        log_folder(client, run_id, Path(scratch), PREDICTOR_ARTIFACT)
    return metrics


def _tuned(
    client: Any, run_id: str, table: TrainingTable, arm: Arm, learning: LearningSettings
) -> Arm:
    """The arm itself, or with the best of so many trials; they become the run's artifact."""
    if learning.tuning_trials == 0:
        return arm
    tuned = tune_arm(
        arm,
        table.of(Fold.TRAIN),
        table.of(Fold.SELECT),
        categorical=categorical_columns(table),
        seed=learning.seed,
        trials=learning.tuning_trials,
        say=_log.info,
    )
    client.log_dict(run_id, {"trials": list(tuned.trials)}, TUNING_ARTIFACT)
    return tuned.arm


def _earlier_precision(settings: Settings, table: TrainingTable, arm: Arm) -> list[float]:
    """Average precision on the first half of validation of each earlier fold, newest first."""
    objects, found = open_objects(settings.object_store), []
    for uri in reversed(table.description.notes.get("earlier_tables", [])):
        earlier = load_table(objects, uri)
        found.append(_ranked(_fit(arm, earlier, settings.learning.seed), earlier)["ap"])
    return found


def _fit(arm: Arm, table: TrainingTable, seed: int) -> Fitted:
    train, select = table.of(Fold.TRAIN), table.of(Fold.SELECT)
    codes = categorical_columns(table)
    return fit_arm(arm, _sample(train), _sample(select), categorical=codes, seed=seed)


def _ranked(fitted: Fitted, table: TrainingTable) -> dict[str, float]:
    judging = table.of(Fold.SELECT).judging()
    return ranking_metrics(judging, fitted.predictor.margin(judging.values))


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
        runs = _usable_runs(client, run_ids)
        with tempfile.TemporaryDirectory(prefix="fraud-bundle-") as scratch:
            tags = _make_bundle(settings, client, table, runs, parent_run_id, Path(scratch))
            version = register_bundle(settings, client, parent_run_id, Path(scratch), tags)
        client.set_terminated(parent_run_id, "FINISHED")
    client.set_registered_model_alias(name, CHALLENGER, version)
    return version


def _usable_runs(client: Any, run_ids: Sequence[str]) -> list[Any]:
    """The finished arms, best first.

    Raises:
        TrainingError: there is none.
    """
    runs = [client.get_run(run_id) for run_id in run_ids]
    usable = [run for run in runs if SELECTION_METRIC in run.data.metrics]
    if not usable:
        raise TrainingError("no arm has finished", value=list(run_ids))
    return sorted(usable, key=lambda run: (-run.data.metrics[SELECTION_METRIC], _arm(run)))


def _arm(run: Any) -> str:
    return str(run.data.tags[ARM_TAG])


def _make_bundle(
    settings: Settings,
    client: Any,
    table: TrainingTable,
    runs: Sequence[Any],
    parent_run_id: str,
    folder: Path,
) -> Mapping[str, str]:
    """Calibrate the best arm, set the policy, test once, write the bundle; its registry tags."""
    best = runs[0]
    decider = fit_decider(
        _fetched_predictor(best.info.run_id), table.of(Fold.CALIBRATE), settings.policy
    )
    found = _assess_and_log(settings, client, table, decider, runs, parent_run_id)
    arm = {"name": _arm(best), "run_id": best.info.run_id, **best.data.params}
    save_bundle(
        folder,
        predictor=decider.predictor,
        calibrator=decider.calibration.calibrator,
        policy=decider.policy,
        details=bundle_details(table, arm, found, settings.kafka.topic),
        golden_values=golden_values(table, GOLDEN_ROWS),
    )
    return {
        "arm": arm["name"],
        "feature_set": table.description.feature_hash,
        "policy_version": decider.policy.version,
        "content_hash": table.description.content_hash,
        "test_ap": f"{found['ap']:.4f}",
    }


def _assess_and_log(
    settings: Settings,
    client: Any,
    table: TrainingTable,
    decider: Decider,
    runs: Sequence[Any],
    parent_run_id: str,
) -> dict[str, float]:
    """The test's figures, flat; card, pictures and figures become the run's report."""
    with tempfile.TemporaryDirectory(prefix="fraud-report-") as scratch:
        assessment = assess(
            decider,
            table,
            settings.policy,
            arm=_arm(runs[0]),
            arms={_arm(run): run.data.metrics[SELECTION_METRIC] for run in runs},
            seed=settings.learning.seed,
            folder=Path(scratch),
        )
        log_folder(client, parent_run_id, Path(scratch), REPORT_ARTIFACT)
    client.set_tag(parent_run_id, "mlflow.note.content", assessment.card)
    every = {f"with_known_cards_{name}": value for name, value in assessment.every.items()}
    found = flat(dict(assessment.figures)) | every
    calibration = decider.calibration
    losses = {f"calibration_loss_{name}": loss for name, loss in calibration.log_loss.items()}
    chosen = {"chosen_arm": _arm(runs[0]), "calibrator": calibration.calibrator.kind}
    logged = {f"test_{name}": value for name, value in found.items()}
    log_values(client, parent_run_id, chosen, logged | losses)
    return found


def _fetched_predictor(run_id: str) -> Predictor:
    with tempfile.TemporaryDirectory(prefix="fraud-arm-") as scratch:
        return load_predictor(fetch_folder(run_id, PREDICTOR_ARTIFACT, Path(scratch)))
