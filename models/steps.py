"""The steps of the training pipeline, for an orchestrator: small JSON-able arguments and results.

Each step may be run again after a crash with the same arguments: it finds what it already made and
returns the same answer. Nothing is registered before it is complete, and only `promote` and
`rollback` move the champion.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from contracts.settings import Settings


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


def take_snapshot(settings: Settings, reference: str) -> str:
    """Copy what Kafka holds now to the object store; the URI of the manifest.

    `reference` names the snapshot (the DAG run's id); the same reference gives the same snapshot.

    Raises:
        BrokerError: Kafka is out of reach, or retention deleted part of the range.
        ObjectStoreError: the object store is out of reach.
    """
    raise NotImplementedError


def build_training_table(settings: Settings, manifest_uri: str) -> str:
    """Features, labels, weights and folds of a snapshot; the URI of the table's description.

    Raises:
        TrainingError: no labels, one class only, too few frauds or too short a history.
    """
    raise NotImplementedError


def plan_arms(settings: Settings, names: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The arms to compare as plain mappings, one per mapped task; no names: the default set.

    Raises:
        TrainingError: a name is unknown; the message lists those that exist.
    """
    raise NotImplementedError


def start_training_run(settings: Settings, table_uri: str, reference: str) -> str:
    """The MLflow parent run of this training; the same reference gives the same run's id."""
    raise NotImplementedError


def train_arm(
    settings: Settings, table_uri: str, arm: Mapping[str, Any], parent_run_id: str
) -> ArmResult:
    """Fit one arm on the training fold and log it as a child run.

    Raises:
        RegistryError: MLflow is out of reach.
    """
    raise NotImplementedError


def select_and_register(
    settings: Settings, table_uri: str, run_ids: Sequence[str], parent_run_id: str
) -> str:
    """Pick the best arm on validation, calibrate it, test it once, register it as `challenger`.

    The version as a decimal string, as MLflow has it.

    Raises:
        RegistryError: MLflow is out of reach; nothing is registered.
    """
    raise NotImplementedError


def run_gate(settings: Settings, table_uri: str, version: str) -> GateResult:
    """Compare a version with the champion (or the rule tier) on test days after both models' data.

    The result is also written to the version's tags.
    """
    raise NotImplementedError


def promote(settings: Settings, version: str, who: str, why: str) -> PromotionResult:
    """Move `champion` to a version and `previous_champion` to the one before it.

    Raises:
        BundleError: the version is incomplete, or was made for other features than this code's.
    """
    raise NotImplementedError


def rollback(settings: Settings, who: str, why: str) -> PromotionResult:
    """Move `champion` back to `previous_champion`.

    Raises:
        RegistryError: there is no previous champion.
    """
    raise NotImplementedError


def evaluate_champion(settings: Settings, table_uri: str) -> dict[str, Any]:
    """How the champion did on the test days of a training table, logged as an MLflow run."""
    raise NotImplementedError
