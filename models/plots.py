"""The pictures of a test: precision and recall, calibration, money, features, drift; PNG files."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.settings import PolicySettings
from models.folds import DAY_US
from models.metrics import rank
from models.policy import expected_costs, exposed
from models.selection import Judged
from models.table import Rows

MOST_FEATURES = 20
MOST_REVIEWS = 400


@dataclass(frozen=True, slots=True)
class Test:
    """What the pictures show: test rows, what the model said, and why (rows x features)."""

    rows: Rows
    judged: Judged
    contributions: NDArray[np.float64]
    feature_names: tuple[str, ...]
    costs: PolicySettings


def draw_all(test: Test, folder: Path) -> None:
    """Write every picture into an existing folder."""
    from matplotlib.figure import Figure

    for name, draw in PICTURES.items():
        figure = Figure(figsize=(7, 5), layout="constrained")
        draw(figure.add_subplot(), test)
        figure.savefig(folder / f"{name}.png", dpi=100)


def _precision_recall(axes: Any, test: Test) -> None:
    frauds, honest = rank(test.judged.margin).curve(test.rows.target, test.rows.weight)
    axes.plot(frauds / frauds[-1], frauds / np.maximum(frauds + honest, 1e-12))
    axes.set(xlabel="recall", ylabel="precision", title="Precision and recall, test days")


def _calibration(axes: Any, test: Test) -> None:
    order = np.argsort(test.judged.probability, kind="stable")
    parts = np.array_split(order, 20)
    predicted = [float(test.judged.probability[part].mean()) for part in parts]
    seen = [float(np.average(test.rows.target[p], weights=test.rows.weight[p])) for p in parts]
    axes.plot(predicted, seen, "o-")
    axes.plot([1e-5, 1], [1e-5, 1], "--", color="grey")
    axes.set(xscale="symlog", yscale="symlog", xlabel="predicted", ylabel="observed")
    axes.set_title("Calibration in 20 bins of equal size, test days")


def _money(axes: Any, test: Test) -> None:
    """Money saved per day if the best n of a day, by expected gain, are reviewed."""
    rows, costs = test.rows, test.costs
    approve, review, _ = expected_costs(costs, test.judged.probability, rows.amount_minor)
    gain = approve - review
    loss = rows.target * exposed(costs, rows.amount_minor)
    worth = costs.review_catch_rate * loss - costs.review_cost_minor
    day = rows.event_time // DAY_US
    total, days = np.zeros(MOST_REVIEWS), np.unique(day)
    for number in days:
        today = np.flatnonzero(day == number)
        best = today[np.argsort(-gain[today], kind="stable")][:MOST_REVIEWS]
        curve = np.cumsum(worth[best])
        total += np.pad(curve, (0, MOST_REVIEWS - len(curve)), mode="edge")
    axes.plot(np.arange(1, MOST_REVIEWS + 1), total / len(days) / 100)
    axes.axvline(costs.review_capacity_per_day, linestyle="--", color="grey")
    axes.set(xlabel="reviews per day", ylabel="saved per day, major units")
    axes.set_title("Money against review capacity (dashed), reviews alone")


def _features(axes: Any, test: Test) -> None:
    mean = np.abs(test.contributions).mean(axis=0)
    best = np.argsort(mean)[-MOST_FEATURES:]
    axes.barh([test.feature_names[i] for i in best], mean[best])
    axes.set(xlabel="mean absolute contribution, log-odds", title="What the model looks at")
    axes.tick_params(axis="y", labelsize=7)


def _drift(axes: Any, test: Test) -> None:
    day = test.rows.event_time // DAY_US
    days = np.unique(day)
    axes.plot([float(test.judged.probability[day == n].mean()) for n in days], label="predicted")
    axes.plot([float(test.rows.target[day == n].mean()) for n in days], label="observed")
    axes.set(xlabel="test day", ylabel="fraud rate", title="Score drift over the test days")
    axes.legend()


PICTURES: Mapping[str, Callable[[Any, Test], None]] = {
    "precision_recall": _precision_recall,
    "calibration": _calibration,
    "money_capacity": _money,
    "feature_contributions": _features,
    "score_drift": _drift,
}
