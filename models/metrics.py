"""Figures of merit over weighted rows; ranking figures take margins, the others probabilities."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contracts.settings import PolicySettings
from models.folds import DAY_US
from models.policy import exposed, incurred
from models.policy_kernel import APPROVE
from models.table import Rows

Floats = NDArray[np.float64]
TOP_CARDS = 100
ECE_BINS = 20


@dataclass(frozen=True, slots=True)
class Ranking:
    """Rows in descending order of score, ties as one step: figures for any weights, quickly."""

    order: NDArray[np.int64]
    last_of_tie: NDArray[np.int64]

    def curve(self, target: NDArray[np.int8], weight: Floats) -> tuple[Floats, Floats]:
        """Cumulated weight of frauds and of legitimate rows after each tie group."""
        ordered, hit = weight[self.order], target[self.order] == 1
        frauds = np.cumsum(np.where(hit, ordered, 0.0))[self.last_of_tie]
        honest = np.cumsum(np.where(hit, 0.0, ordered))[self.last_of_tie]
        return frauds, honest


def rank(score: Floats) -> Ranking:
    """Order by score, highest first; stable, so equal scores keep their order in time."""
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    return Ranking(order, last)


def average_precision(ranking: Ranking, target: NDArray[np.int8], weight: Floats) -> float:
    """Step-wise area under precision and recall; NaN without frauds."""
    frauds, honest = ranking.curve(target, weight)
    if len(frauds) == 0 or frauds[-1] <= 0:
        return float("nan")
    gained = np.diff(frauds, prepend=0.0) / frauds[-1]
    flagged = frauds + honest
    precision = np.divide(frauds, flagged, out=np.zeros_like(frauds), where=flagged > 0)
    return float((gained * precision).sum())


def area_under_roc(ranking: Ranking, target: NDArray[np.int8], weight: Floats) -> float:
    """Trapezoidal area; NaN with one class only."""
    frauds, honest = ranking.curve(target, weight)
    if len(frauds) == 0 or frauds[-1] <= 0 or honest[-1] <= 0:
        return float("nan")
    x, y = np.append(0.0, honest / honest[-1]), np.append(0.0, frauds / frauds[-1])
    return float(np.trapezoid(y, x))


def recall_at(ranking: Ranking, target: NDArray[np.int8], weight: Floats, fpr: float) -> float:
    """Largest recall whose false positive rate is at most `fpr`."""
    frauds, honest = ranking.curve(target, weight)
    if len(frauds) == 0 or frauds[-1] <= 0 or honest[-1] <= 0:
        return float("nan")
    allowed = honest <= fpr * honest[-1]
    return float(frauds[allowed][-1] / frauds[-1]) if allowed.any() else 0.0


def card_precision(rows: Rows, score: Floats, top: int = TOP_CARDS) -> float:
    """Mean over days of `daily_card_precision`."""
    daily = daily_card_precision(rows, score, top)
    return float(np.mean(daily)) if daily else float("nan")


def daily_card_precision(rows: Rows, score: Floats, top: int = TOP_CARDS) -> list[float]:
    """Per day, the share of cards with a fraud among the `top` cards by highest score.

    A card found on one day is not looked at again, as in the Fraud-Detection-Handbook.
    """
    day = rows.event_time // DAY_US
    found: set[int] = set()
    precisions: list[float] = []
    for number in np.unique(day):
        today = np.flatnonzero(day == number)
        best = today[np.argsort(-score[today], kind="stable")]
        cards = [int(card) for card in dict.fromkeys(rows.card[best].tolist()) if card not in found]
        frauds = set(rows.card[today[rows.target[today] == 1]].tolist())
        caught = [card for card in cards[:top] if card in frauds]
        precisions.append(len(caught) / top)
        found.update(caught)
    return precisions


def expected_calibration_error(
    probability: Floats, target: NDArray[np.int8], weight: Floats, bins: int = ECE_BINS
) -> float:
    """Mean gap between predicted and observed over bins of equal mass."""
    order = np.argsort(probability, kind="stable")
    gaps = [
        abs(float(np.dot(weight[part], target[part] - probability[part])))
        for part in np.array_split(order, bins)
    ]
    return sum(gaps) / float(weight.sum())


def brier(probability: Floats, target: NDArray[np.int8], weight: Floats) -> float:
    """Weighted mean squared error of the probability."""
    return float(np.average((probability - target) ** 2, weights=weight))


def observed_over_expected(probability: Floats, target: NDArray[np.int8], weight: Floats) -> float:
    """Frauds seen over frauds predicted."""
    return float(np.dot(weight, target) / np.dot(weight, probability))


def saved_minor(costs: PolicySettings, rows: Rows, decision: NDArray[np.int8]) -> Floats:
    """Per row: what the decision saved against approving it, minor units, weighted."""
    nothing = rows.target * exposed(costs, rows.amount_minor)
    paid = incurred(costs, decision, rows.target, rows.amount_minor)
    saved: Floats = rows.weight * (nothing - paid)
    return saved


def days_in(rows: Rows) -> int:
    """Distinct UTC days with transactions, at least 1."""
    return max(1, len(np.unique(rows.event_time // DAY_US)))


def ranking_metrics(rows: Rows, margin: Floats) -> dict[str, float]:
    """What a raw score is worth, before any calibration."""
    ranking = rank(margin)
    return {
        "ap": average_precision(ranking, rows.target, rows.weight),
        "auc": area_under_roc(ranking, rows.target, rows.weight),
        "cp100": card_precision(rows, margin),
        "recall_fpr_0.1pct": recall_at(ranking, rows.target, rows.weight, 0.001),
        "recall_fpr_1pct": recall_at(ranking, rows.target, rows.weight, 0.01),
    }


def probability_metrics(rows: Rows, probability: Floats) -> dict[str, float]:
    """How far a probability can be believed."""
    return {
        "brier": brier(probability, rows.target, rows.weight),
        "ece": expected_calibration_error(probability, rows.target, rows.weight),
        "oe": observed_over_expected(probability, rows.target, rows.weight),
    }


def decision_metrics(
    costs: PolicySettings, rows: Rows, decision: NDArray[np.int8]
) -> Mapping[str, float]:
    """What decisions are worth, per day; money in minor units."""
    days = days_in(rows)
    return {
        "saved_per_day_minor": float(saved_minor(costs, rows, decision).sum()) / days,
        "alerts_per_day": float((decision != APPROVE).sum()) / days,
        "declines_per_day": float((decision == 2).sum()) / days,
    }
