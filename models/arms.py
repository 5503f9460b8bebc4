"""Arms: a model family with a treatment of the class imbalance, named `family[_treatment[_ratio]]`.

`xgboost`, `xgboost_smote`, `lightgbm_weight`, `xgboost_smotenc_0.5`: every combination exists.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from contracts.errors import TrainingError
from contracts.settings import LearningSettings


class Family(StrEnum):
    """How the score is computed."""

    LOGISTIC_REGRESSION = "logistic_regression"
    RANDOM_FOREST = "random_forest"
    XGBOOST = "xgboost"
    LIGHTGBM = "lightgbm"
    NEURAL_NET = "neural_net"


class Treatment(StrEnum):
    """What is done about one fraud among two hundred."""

    NONE = "none"
    WEIGHT = "weight"
    SMOTE = "smote"
    SMOTENC = "smotenc"


RESAMPLED = (Treatment.SMOTE, Treatment.SMOTENC)
DEFAULT_ARMS = ("logistic_regression", "xgboost", "xgboost_smote")
ALL_ARMS = (
    "logistic_regression",
    "logistic_regression_smote",
    "random_forest",
    "xgboost",
    "xgboost_weight",
    "xgboost_smote",
    "xgboost_smotenc",
    "lightgbm",
    "lightgbm_smote",
    "neural_net",
)


@dataclass(frozen=True, slots=True)
class Arm:
    """`ratio` is frauds per legitimate after resampling, None without resampling.

    `params` go to the family's trainer, over its defaults.
    """

    name: str
    family: Family
    treatment: Treatment
    ratio: float | None
    params: Mapping[str, float]

    def to_tree(self) -> dict[str, Any]:
        """Plain values, for an orchestrator and for MLflow."""
        return asdict(self) | {
            "family": self.family.value,
            "treatment": self.treatment.value,
            "params": dict(self.params),
        }


def arm_from(tree: Mapping[str, Any]) -> Arm:
    """An arm back from plain values."""
    return Arm(
        name=str(tree["name"]),
        family=Family(tree["family"]),
        treatment=Treatment(tree["treatment"]),
        ratio=None if tree["ratio"] is None else float(tree["ratio"]),
        params=dict(tree["params"]),
    )


def make_arm(name: str, learning: LearningSettings) -> Arm:
    """The arm that a name describes, with the operators' learning rate, epochs and SMOTE ratio.

    Raises:
        TrainingError: the name describes no arm; the message lists the usual ones.
    """
    family = next((f for f in Family if name == f or name.startswith(f"{f}_")), None)
    if family is None:
        raise _unknown(name)
    treatment, _, ratio = name.removeprefix(family.value).removeprefix("_").partition("_")
    try:
        chosen = Treatment(treatment or Treatment.NONE)
        given = float(ratio) if ratio else None
    except ValueError as error:
        raise _unknown(name) from error
    if given is not None and (chosen not in RESAMPLED or not 0 < given <= 1):
        raise _unknown(name)
    after = (given or learning.smote_ratio) if chosen in RESAMPLED else None
    return Arm(name, family, chosen, after, _operator_params(family, learning))


def plan_arms(names: Sequence[str], learning: LearningSettings) -> list[Arm]:
    """The named arms, or the default ones; each at most once.

    Raises:
        TrainingError: a name describes no arm.
    """
    return [make_arm(name, learning) for name in dict.fromkeys(names or DEFAULT_ARMS)]


def _operator_params(family: Family, learning: LearningSettings) -> dict[str, float]:
    if family in (Family.XGBOOST, Family.LIGHTGBM):
        return {"learning_rate": learning.learning_rate}
    if family is Family.NEURAL_NET:
        return {
            "learning_rate": learning.learning_rate,
            "batch_size": learning.batch_size,
            "epochs": learning.epochs,
        }
    return {}


def _unknown(name: str) -> TrainingError:
    return TrainingError(
        "there is no such arm", value=name, remedy=f"Choose from {', '.join(ALL_ARMS)}"
    )
