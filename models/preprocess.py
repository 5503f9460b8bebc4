"""Impute and scale, fitted on the training fold alone; stored as plain numbers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Preprocess:
    """Per feature: what replaces a missing value, then centre and scale.

    `is_log` first takes sign(x) log(1 + |x|), which tames amounts and counts for linear models.
    """

    fill: Floats
    centre: Floats
    scale: Floats
    is_log: bool

    def apply(self, values: Floats) -> Floats:
        """Finite values of mean near 0 and deviation near 1, in a new array."""
        filled = np.where(np.isnan(values), self.fill, values)
        if self.is_log:
            filled = np.sign(filled) * np.log1p(np.abs(filled))
        scaled: Floats = (filled - self.centre) / self.scale
        return scaled

    def to_tree(self) -> dict[str, Any]:
        """For JSON; floats keep every bit."""
        return {
            "fill": self.fill.tolist(),
            "centre": self.centre.tolist(),
            "scale": self.scale.tolist(),
            "is_log": self.is_log,
        }


def preprocess_from(tree: dict[str, Any]) -> Preprocess:
    """Back from JSON."""
    fill, centre, scale = (np.asarray(tree[name], float) for name in ("fill", "centre", "scale"))
    return Preprocess(fill, centre, scale, bool(tree["is_log"]))


def fit_preprocess(values: Floats, *, is_log: bool) -> Preprocess:
    """Medians, means and deviations of the training rows; a constant feature is scaled by 1."""
    is_empty = np.isnan(values).all(axis=0)
    medians = np.nanmedian(np.where(is_empty, 0.0, values), axis=0)
    raw = Preprocess(medians, np.zeros_like(medians), np.ones_like(medians), is_log)
    filled = raw.apply(values)
    deviation = filled.std(axis=0)
    scale = np.where(deviation > 1e-12, deviation, 1.0)
    return Preprocess(medians, filled.mean(axis=0), scale, is_log)
