"""SMOTE and SMOTENC on prepared training rows; the only place that makes synthetic frauds."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.errors import TrainingError

NEIGHBOURS = 5


def resample(
    values: NDArray[np.float64],
    target: NDArray[np.int8],
    ratio: float,
    categorical: NDArray[np.int64],
    seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """The rows, followed by synthetic frauds up to `ratio` frauds per legitimate.

    With `categorical` columns SMOTENC takes their most frequent code among the neighbours instead
    of a number between two codes. Rows already above the ratio come back unchanged.

    Raises:
        TrainingError: fewer frauds than neighbours are needed.
    """
    frauds = int(target.sum())
    if frauds <= NEIGHBOURS:
        raise TrainingError(
            "too few frauds for SMOTE", value=frauds, remedy=f"More than {NEIGHBOURS} are needed"
        )
    if frauds >= ratio * (len(target) - frauds):
        return values, target
    sampler = _sampler(ratio, categorical, seed)
    made, labels = sampler.fit_resample(values, target)
    return np.asarray(made, dtype=np.float64), np.asarray(labels, dtype=np.int8)


def _sampler(ratio: float, categorical: NDArray[np.int64], seed: int) -> Any:
    from imblearn.over_sampling import SMOTE, SMOTENC

    shared = {"sampling_strategy": ratio, "k_neighbors": NEIGHBOURS, "random_state": seed}
    if categorical.size == 0:
        return SMOTE(**shared)
    return SMOTENC(categorical_features=categorical.tolist(), **shared)
