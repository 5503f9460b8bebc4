"""The steps of the training pipeline, for an orchestrator: small JSON-able arguments and results.

Each step may be run again after a crash with the same arguments: it finds what it already made and
returns the same answer. Nothing is registered before it is complete, and only `promote` and
`rollback` move the champion.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from contracts.settings import Settings
from models.tracking import asking_mlflow


class ArmResult(TypedDict):
    """A trained arm: its MLflow child run, its metrics on the first half of validation."""

    run_id: str
    arm: str
    metrics: dict[str, float]


class GateResult(TypedDict):
    """`outcome` is passed, failed or inconclusive; `report` is Markdown for people."""

    passed: bool
    outcome: str
    version: str
    champion: str | None
    report: str
    checks: dict[str, Any]


class PromotionResult(TypedDict):
    """Where the aliases point after the move; `changed` is False when they already did."""

    version: str
    previous: str | None
    changed: bool


def build_training_table(settings: Settings, manifest_uri: str) -> str:
    """Features, labels, weights and folds of a snapshot; the URI of the table's description.

    Raises:
        TrainingError: no labels, one class only, too few frauds or too short a history.
    """
    from models.build import build_training_table as build

    return build(settings, manifest_uri)


def plan_arms(settings: Settings, names: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The arms to compare as plain mappings, one per mapped task; no names: the default set.

    Raises:
        TrainingError: a name is unknown; the message lists those that exist.
    """
    from models.arms import plan_arms as plan

    return [arm.to_tree() for arm in plan(names, settings.learning)]


@asking_mlflow()
def start_training_run(settings: Settings, table_uri: str, reference: str) -> str:
    """The MLflow parent run of this training; the same reference gives the same run's id."""
    from models.training import start_training

    return start_training(settings, table_uri, reference)


@asking_mlflow()
def train_arm(
    settings: Settings, table_uri: str, arm: Mapping[str, Any], parent_run_id: str
) -> ArmResult:
    """Fit one arm on the training fold and log it as a child run.

    Raises:
        RegistryError: MLflow is out of reach.
    """
    from models.arms import arm_from
    from models.training import train_arm as train

    trained = train(settings, table_uri, arm_from(arm), parent_run_id)
    return {"run_id": trained.run_id, "arm": trained.arm, "metrics": trained.metrics}


@asking_mlflow()
def select_and_register(
    settings: Settings, table_uri: str, run_ids: Sequence[str], parent_run_id: str
) -> str:
    """Pick the best arm on validation, calibrate it, test it once, register it as `challenger`.

    The version as a decimal string, as MLflow has it.

    Raises:
        RegistryError: MLflow is out of reach; nothing is registered.
    """
    from models.training import select_and_register as select

    return select(settings, table_uri, run_ids, parent_run_id)


@asking_mlflow()
def run_gate(settings: Settings, table_uri: str, version: str) -> GateResult:
    """Compare a version with the champion (or the rule tier) on test days after both models' data.

    The result is also written to the version's tags.
    """
    from models.gating import gate_version

    return gate_version(settings, table_uri, version)


def promote(settings: Settings, version: str, who: str, why: str) -> PromotionResult:
    """Move `champion` to a version and `previous_champion` to the one before it.

    Raises:
        BundleError: the version is incomplete, or was made for other features than this code's.
    """
    from models.promotion import promote as move

    moved = move(settings, version, who=who, why=why)
    return {"version": moved.version, "previous": moved.previous, "changed": moved.changed}


def rollback(settings: Settings, who: str, why: str) -> PromotionResult:
    """Move `champion` back to `previous_champion`.

    Raises:
        RegistryError: there is no previous champion.
    """
    from models.promotion import rollback as move

    moved = move(settings, who=who, why=why)
    return {"version": moved.version, "previous": moved.previous, "changed": moved.changed}


@asking_mlflow()
def evaluate_champion(settings: Settings, table_uri: str) -> dict[str, Any]:
    """How the champion did on the test days of a training table, logged as an MLflow run."""
    from models.gating import champion_figures

    return champion_figures(settings, table_uri)
