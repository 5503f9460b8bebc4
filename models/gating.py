"""The gate on registered versions: loads both sides, records the verdict where people look."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from contracts.errors import BundleError, RegistryError
from contracts.settings import Settings
from models.bundle import Bundle
from models.folds import Fold
from models.gate import (
    Contender,
    ModelContender,
    RuleContender,
    Verdict,
    report,
    run_gate,
    verdict_tags,
)
from models.objects import open_objects
from models.registry import champion_version, load_bundle
from models.table import Rows, load_table
from models.tracking import experiment_id, log_values, tracking_client

if TYPE_CHECKING:
    from models.steps import GateResult


def gate_version(settings: Settings, table_uri: str, version: str) -> "GateResult":
    """Judge a version on the table's test days and write the verdict to its tags.

    Raises:
        RegistryError: MLflow is out of reach.
        BundleError: the version is incomplete.
    """
    client = tracking_client(settings.mlflow)
    challenger = load_bundle(settings, version)
    champion = champion_version(settings)
    rows = load_table(open_objects(settings.object_store), table_uri).of(Fold.TEST).judging()
    verdict = _judge(settings, challenger, champion, rows)
    text = report(verdict)
    tags = {**verdict_tags(verdict), "gate.report": text[:4900]}
    for name, value in tags.items():
        client.set_model_version_tag(settings.mlflow.model_name, version, name, value)
    source = client.get_model_version(settings.mlflow.model_name, version)
    client.log_text(source.run_id, text, "gate/report.md")
    client.log_text(source.run_id, json.dumps(asdict(verdict), indent=1), "gate/verdict.json")
    return {
        "passed": verdict.passed,
        "outcome": verdict.outcome,
        "version": version,
        "champion": champion,
        "report": text,
        "checks": {check.name: asdict(check) for check in verdict.checks},
    }


def _judge(settings: Settings, challenger: Bundle, champion: str | None, rows: Rows) -> Verdict:
    rival, learned_until = _rival(settings, challenger, champion)
    later = rows.where(rows.event_time >= max(_learned_until(challenger), learned_until))
    contender = ModelContender(challenger)
    return run_gate(contender, rival, later, settings.policy, settings.learning.seed)


def _rival(settings: Settings, challenger: Bundle, champion: str | None) -> tuple[Contender, int]:
    """The champion, or the rule tier where no champion decides, and when its knowledge ends.

    A champion made for other features than this code's is refused by every scorer of this code: the
    rule tier decides in its place, so that is what a challenger has to beat.
    """
    if champion is None:
        return RuleContender(settings.fallback), 0
    try:
        bundle = load_bundle(settings, champion, feature_hash=challenger.feature_hash)
    except BundleError as error:
        return RuleContender(settings.fallback, instead_of=error.cause), 0
    return ModelContender(bundle), _learned_until(bundle)


def _learned_until(bundle: Bundle) -> int:
    """The newest event time whose knowledge a bundle may hold, microseconds."""
    training: Mapping[str, Any] = bundle.details["training"]
    return int(training["learned_until"])


def champion_figures(settings: Settings, table_uri: str) -> dict[str, Any]:
    """The champion's figures on a table's test days after its own data, as an MLflow run.

    Raises:
        RegistryError: there is no champion, or MLflow is out of reach.
    """
    from models.selection import Judged, judged_metrics

    client = tracking_client(settings.mlflow)
    version = champion_version(settings)
    if version is None:
        raise RegistryError("there is no champion to evaluate")
    bundle = load_bundle(settings, version)
    table = load_table(open_objects(settings.object_store), table_uri)
    rows = table.of(Fold.TEST).judging()
    rows = rows.where(rows.event_time >= _learned_until(bundle))
    metrics = judged_metrics(Judged.by(bundle, rows), rows, settings.policy)
    experiment = experiment_id(client, settings.mlflow.experiment)
    tags = {"fraud.champion": version, "fraud.table": table_uri}
    run = client.create_run(experiment, run_name=f"evaluate champion {version}", tags=tags)
    log_values(client, run.info.run_id, {"version": version}, metrics)
    client.set_terminated(run.info.run_id, "FINISHED")
    return {"version": version, "run_id": run.info.run_id, "metrics": metrics}
