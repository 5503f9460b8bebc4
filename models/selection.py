"""From trained arms to one bundle: pick on validation, calibrate, set the policy, test once."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from contracts.settings import PolicySettings
from models.calibration import Calibration, calibrate
from models.folds import DAY_US, Fold
from models.metrics import decision_metrics, probability_metrics, ranking_metrics
from models.policy import Policy, fit_policy
from models.predictors import Predictor, sigmoid
from models.table import Rows, TrainingTable

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Decider:
    """A predictor with its calibration and policy, not yet registered."""

    predictor: Predictor
    calibration: Calibration
    policy: Policy

    def raw(self, values: Floats) -> Floats:
        """Uncalibrated margins."""
        return self.predictor.margin(values)

    def score(self, values: Floats) -> Floats:
        """Calibrated probabilities."""
        return self.calibration.calibrator.probability(self.predictor.margin(values))


def fit_decider(predictor: Predictor, rows: Rows, costs: PolicySettings) -> Decider:
    """Calibrator and policy from the second half of validation, as it is, never resampled."""
    judging = rows.where(rows.is_evaluated)
    margin = predictor.margin(judging.values)
    calibration = calibrate(margin, judging.target, judging.weight, judging.card)
    policy = fit_policy(
        costs, calibration.crossfitted, judging.amount_minor, judging.event_time // DAY_US
    )
    return Decider(predictor, calibration, policy)


class Scoring(Protocol):
    """What a finished model can do: a bundle, or a decider on its way to one."""

    @property
    def policy(self) -> Policy:
        """Turns probabilities into decisions."""
        ...

    def raw(self, values: Floats) -> Floats:
        """Uncalibrated margins."""
        ...

    def score(self, values: Floats) -> Floats:
        """Calibrated probabilities."""
        ...


@dataclass(frozen=True, slots=True)
class Judged:
    """Margins, probabilities and decisions of some rows."""

    margin: Floats
    probability: Floats
    decision: NDArray[np.int8]

    @classmethod
    def by(cls, model: Scoring, rows: Rows) -> "Judged":
        """What a model says about rows, without control sampling."""
        probability = model.score(rows.values)
        decision = model.policy.choose(probability, rows.amount_minor)
        return cls(model.raw(rows.values), probability, decision)


def judged_metrics(judged: Judged, rows: Rows, costs: PolicySettings) -> dict[str, float]:
    """All figures on rows that no part of the model has seen."""
    before = probability_metrics(rows, sigmoid(judged.margin))
    return {
        **ranking_metrics(rows, judged.margin),
        **probability_metrics(rows, judged.probability),
        "brier_uncalibrated": before["brier"],
        **decision_metrics(costs, rows, judged.decision),
    }


def bundle_details(
    table: TrainingTable, arm: Mapping[str, Any], metrics: Mapping[str, float], topic: str
) -> dict[str, Any]:
    """What a bundle says about itself, beside calibrator and policy."""
    description = table.description
    names = description.feature_names
    return {
        "format": 1,
        "arm": dict(arm),
        "feature_hash": description.feature_hash,
        "feature_names": list(names),
        "snapshot_ranges": description.ranges[topic],
        "reasons": {name: name.upper() for name in names},
        "metrics": dict(metrics),
        "training": {
            "manifest_uri": description.manifest_uri,
            "content_hash": description.content_hash,
            "table_hash": description.table_hash,
            "folds": asdict(description.folds),
            "counts": description.counts,
            "notes": description.notes,
            "learned_until": description.folds.test_start,
        },
    }


def golden_values(table: TrainingTable, count: int) -> Any:
    """Test rows spread over time, frauds among them."""
    rows = table.of(Fold.TEST)
    frauds = np.flatnonzero(rows.target == 1)[: count // 4]
    spread = np.linspace(0, len(rows) - 1, count - len(frauds)).astype(int)
    return rows.values[np.unique(np.concatenate([frauds, spread]))]
