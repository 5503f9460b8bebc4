"""From margins to probabilities: Platt, beta or isotonic, kept as a handful of numbers.

Beta calibration: Kull, Silva Filho and Flach (2017), logistic regression on ln p and -ln(1 - p).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.predictors import sigmoid

Floats = NDArray[np.float64]
FLOOR = 1e-6
ISOTONIC_FROM_FRAUDS = 500
CROSS_FIT_PARTS = 5


@dataclass(frozen=True, slots=True)
class Calibrator:
    """`x` and `y` are coefficients for platt and beta, and the knots of the curve for isotonic."""

    kind: str
    x: tuple[float, ...]
    y: tuple[float, ...]

    def probability(self, margin: Floats) -> Floats:
        """Calibrated probabilities within [FLOOR, 1 - FLOOR]."""
        if self.kind == "isotonic":
            raw = np.interp(margin, np.asarray(self.x), np.asarray(self.y))
        else:
            total: Floats | float = self.y[0]
            for weight, column in zip(self.x, _inputs(self.kind, margin).T, strict=True):
                total = total + weight * column
            raw = sigmoid(np.asarray(total))
        within: Floats = np.minimum(np.maximum(raw, FLOOR), 1.0 - FLOOR)
        return within

    def to_tree(self) -> dict[str, Any]:
        """For JSON; floats keep every bit."""
        return {"kind": self.kind, "x": list(self.x), "y": list(self.y)}


def calibrator_from(tree: Mapping[str, Any]) -> Calibrator:
    """Back from JSON."""
    return Calibrator(str(tree["kind"]), tuple(tree["x"]), tuple(tree["y"]))


def _inputs(kind: str, margin: Floats) -> Floats:
    if kind == "platt":
        return margin[:, None]
    # ln p and -ln(1 - p) of p = sigmoid(margin), without rounding p first
    return np.column_stack([-np.logaddexp(0.0, -margin), np.logaddexp(0.0, margin)])


def _fit_logistic(
    kind: str, margin: Floats, target: NDArray[np.int8], weight: Floats
) -> Calibrator:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1e6, max_iter=1000)
    model.fit(_inputs(kind, margin), target, sample_weight=weight)
    return Calibrator(kind, tuple(map(float, model.coef_[0])), (float(model.intercept_[0]),))


def _fit_isotonic(margin: Floats, target: NDArray[np.int8], weight: Floats) -> Calibrator:
    from sklearn.isotonic import IsotonicRegression

    model = IsotonicRegression(out_of_bounds="clip").fit(margin, target, sample_weight=weight)
    knots_x, knots_y = model.X_thresholds_, model.y_thresholds_
    return Calibrator("isotonic", tuple(map(float, knots_x)), tuple(map(float, knots_y)))


_FITTERS: Mapping[str, Callable[[Floats, NDArray[np.int8], Floats], Calibrator]] = {
    "platt": lambda margin, target, weight: _fit_logistic("platt", margin, target, weight),
    "beta": lambda margin, target, weight: _fit_logistic("beta", margin, target, weight),
    "isotonic": _fit_isotonic,
}


@dataclass(frozen=True, slots=True)
class Calibration:
    """The chosen calibrator, out-of-fold probabilities of its rows, log loss of each candidate."""

    calibrator: Calibrator
    crossfitted: Floats
    log_loss: Mapping[str, float]


def calibrate(
    margin: Floats, target: NDArray[np.int8], weight: Floats, card: NDArray[np.int64]
) -> Calibration:
    """Compare calibrators by log loss, cross-fitted over cards, and fit the best on all rows.

    Isotonic takes part only from 500 frauds on: below, it overfits its steps.
    """
    kinds = ["platt", "beta"]
    if int(target.sum()) >= ISOTONIC_FROM_FRAUDS:
        kinds.append("isotonic")
    part = card % CROSS_FIT_PARTS
    out = {kind: _cross_fit(kind, margin, target, weight, part) for kind in kinds}
    losses = {kind: log_loss(target, p, weight) for kind, p in out.items()}
    best = min(losses, key=lambda kind: losses[kind])
    return Calibration(_FITTERS[best](margin, target, weight), out[best], losses)


def _cross_fit(
    kind: str,
    margin: Floats,
    target: NDArray[np.int8],
    weight: Floats,
    part: NDArray[np.int64],
) -> Floats:
    probability = np.full(len(margin), np.average(target, weights=weight))
    for number in range(CROSS_FIT_PARTS):
        held, rest = part == number, part != number
        if held.any() and 0 < target[rest].sum() < rest.sum():
            fitted = _FITTERS[kind](margin[rest], target[rest], weight[rest])
            probability[held] = fitted.probability(margin[held])
    return probability


def log_loss(target: NDArray[np.int8], probability: Floats, weight: Floats) -> float:
    """Weighted mean of the negative log likelihood, in nats."""
    clipped = np.clip(probability, FLOOR, 1.0 - FLOOR)
    loss = -np.where(target == 1, np.log(clipped), np.log1p(-clipped))
    return float(np.average(loss, weights=weight))
