"""Every figure with its 95 % interval, by a bootstrap over cards and days together.

A replicate weighs each row by Poisson(1) draws of its card and of its day, multiplied: a campaign
hits many cards in one day, so neither cards nor days alone are independent.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contracts.settings import PolicySettings
from models.folds import DAY_US
from models.metrics import (
    ECE_BINS,
    area_under_roc,
    average_precision,
    days_in,
    rank,
    recall_at,
    saved_minor,
)
from models.policy_kernel import APPROVE
from models.selection import Judged, judged_metrics
from models.table import Rows

Floats = NDArray[np.float64]
REPLICATES = 200
LOW, HIGH = 0.025, 0.975


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


def replicate_weights(rows: Rows, seed: int, replicates: int = REPLICATES) -> Iterator[Floats]:
    """Weights of each bootstrap replicate, times 1/propensity."""
    generator = np.random.default_rng(seed)
    _, card = np.unique(rows.card, return_inverse=True)
    _, day = np.unique(rows.event_time // DAY_US, return_inverse=True)
    for _ in range(replicates):
        by_card = generator.poisson(1.0, card.max() + 1)
        by_day = generator.poisson(1.0, day.max() + 1)
        yield rows.weight * (by_card[card] * by_day[day])


def figures(
    judged: Judged, rows: Rows, costs: PolicySettings, seed: int, replicates: int = REPLICATES
) -> dict[str, Figure]:
    """All figures of a model on rows that it has not seen, each with its interval.

    Card precision is resampled over days alone: its denominator is a number of cards.
    """
    values = judged_metrics(judged, rows, costs)
    drawn = _replicates(judged, rows, costs, seed, replicates)
    found: dict[str, Figure] = {}
    for name, value in values.items():
        low, high = _interval(drawn.get(name, np.array([])))
        found[name] = Figure(value, low, high)
    return found


def _interval(sample: Floats) -> tuple[float, float]:
    usable = sample[~np.isnan(sample)]
    if len(usable) == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(usable, (LOW, HIGH))
    return float(low), float(high)


def _replicates(
    judged: Judged, rows: Rows, costs: PolicySettings, seed: int, replicates: int
) -> dict[str, Floats]:
    ranking, target = rank(judged.margin), rows.target
    bins = _ReplicatedBins.of(judged.probability, target)
    saved = saved_minor(costs, rows, judged.decision) / np.maximum(rows.weight, 1e-12)
    squared = (judged.probability - target) ** 2
    alert, days = judged.decision != APPROVE, days_in(rows)
    drawn: dict[str, list[float]] = {}
    for weight in replicate_weights(rows, seed, replicates):
        total = max(float(weight.sum()), 1e-12)
        measured = {
            "ap": average_precision(ranking, target, weight),
            "auc": area_under_roc(ranking, target, weight),
            "recall_fpr_0.1pct": recall_at(ranking, target, weight, 0.001),
            "recall_fpr_1pct": recall_at(ranking, target, weight, 0.01),
            "brier": float(np.dot(weight, squared)) / total,
            "ece": bins.error(weight, total),
            "oe": float(np.dot(weight, target) / max(np.dot(weight, judged.probability), 1e-12)),
            "saved_per_day_minor": float(np.dot(weight, saved)) / days,
            "alerts_per_day": float(weight[alert].sum()) / days,
        }
        for name, value in measured.items():
            drawn.setdefault(name, []).append(value)
    sampled = {name: np.array(values) for name, values in drawn.items()}
    return sampled | {"cp100": _card_precision_draws(judged, rows, seed, replicates)}


@dataclass(frozen=True, slots=True)
class _ReplicatedBins:
    """Equal-mass bins, fixed before resampling."""

    order: NDArray[np.int64]
    starts: NDArray[np.int64]
    gap: Floats

    @classmethod
    def of(cls, probability: Floats, target: NDArray[np.int8]) -> "_ReplicatedBins":
        order = np.argsort(probability, kind="stable")
        starts = np.unique(np.linspace(0, len(order), ECE_BINS, endpoint=False).astype(np.int64))
        return cls(order, starts, (target - probability)[order])

    def error(self, weight: Floats, total: float) -> float:
        sums = np.add.reduceat(weight[self.order] * self.gap, self.starts)
        return float(np.abs(sums).sum()) / total


def _card_precision_draws(judged: Judged, rows: Rows, seed: int, replicates: int) -> Floats:
    from models.metrics import daily_card_precision

    daily = np.array(daily_card_precision(rows, judged.margin))
    generator = np.random.default_rng(seed)
    weights = generator.poisson(1.0, (replicates, len(daily))).astype(float)
    totals = weights.sum(axis=1)
    drawn: Floats = np.where(totals > 0, weights @ daily / np.maximum(totals, 1.0), np.nan)
    return drawn


def flat(found: dict[str, Figure]) -> dict[str, float]:
    """Name to value, `_low` and `_high`, without those that could not be measured."""
    listed: dict[str, float] = {}
    for name, figure in found.items():
        listed |= {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}
    return {name: value for name, value in listed.items() if value == value}
