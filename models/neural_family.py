"""A small feed-forward net; its weights are arrays, its arithmetic is plain numpy.

Products are summed feature by feature: a matrix product may round a row differently depending on
how many rows stand beside it, and a replay that cuts batches elsewhere must give the same bits.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.preprocess import Floats, Preprocess

MODEL_FILE = "model.npz"
HIDDEN = (64, 32)
PATH_STEPS = 16
STEP_SCALE = 0.01
"""LEARNING_RATE is meant for boosting; Adam's step is this share of it."""


def stable_product(left: Floats, right: Floats) -> Floats:
    """Matrix product whose rows do not depend on their neighbours."""
    total = np.zeros((left.shape[0], right.shape[1]))
    for column in range(left.shape[1]):
        total += left[:, column, None] * right[column]
    return total


class NeuralPredictor:
    """Rectified layers and a linear end that gives the log-odds."""

    def __init__(self, weights: list[Floats], biases: list[Floats], prepare: Preprocess) -> None:
        self._weights = weights
        self._biases = biases
        self._prepare = prepare

    def margin(self, values: Floats) -> Floats:
        """Log-odds."""
        return self._forward(self._prepare.apply(values))[0]

    def _forward(self, prepared: Floats) -> tuple[Floats, list[NDArray[np.bool_]]]:
        """Margin, and which units were active in each hidden layer."""
        layer, active = prepared, []
        for weight, bias in zip(self._weights[:-1], self._biases[:-1], strict=True):
            total = stable_product(layer, weight) + bias
            active.append(total > 0)
            layer = np.where(total > 0, total, 0.0)
        end = stable_product(layer, self._weights[-1]) + self._biases[-1]
        return end[:, 0], active

    def explained(self, values: Floats) -> tuple[Floats, Floats]:
        """Gradient times input, from the training mean, which is 0 after scaling."""
        prepared = self._prepare.apply(values)
        return self.margin(values), prepared * self._gradient(prepared)

    def exact_contributions(self, values: Floats) -> Floats:
        """Integrated gradients (Sundararajan, Taly and Yan, 2017) from the training mean."""
        prepared = self._prepare.apply(values)
        mean = np.zeros_like(prepared)
        for step in range(PATH_STEPS):
            mean += self._gradient(prepared * ((step + 0.5) / PATH_STEPS)) / PATH_STEPS
        return prepared * mean

    def _gradient(self, prepared: Floats) -> Floats:
        _, active = self._forward(prepared)
        back = np.repeat(self._weights[-1].T, len(prepared), axis=0)
        for weight, mask in zip(self._weights[-2::-1], active[::-1], strict=True):
            back = stable_product(back * mask, weight.T)
        return back

    def save(self, folder: Path) -> None:
        """Arrays by name, without pickles."""
        from models.predictors import write_header

        arrays = {f"w{i}": weight for i, weight in enumerate(self._weights)}
        arrays |= {f"b{i}": bias for i, bias in enumerate(self._biases)}
        np.savez(folder / MODEL_FILE, allow_pickle=False, **arrays)
        write_header(folder, "neural_net", self._prepare)

    @classmethod
    def load(cls, folder: Path, prepare: Preprocess) -> "NeuralPredictor":
        """From the files that `save` wrote."""
        with np.load(folder / MODEL_FILE, allow_pickle=False) as arrays:
            count = len(arrays.files) // 2
            weights = [arrays[f"w{i}"] for i in range(count)]
            biases = [arrays[f"b{i}"] for i in range(count)]
        return cls(weights, biases, prepare)
