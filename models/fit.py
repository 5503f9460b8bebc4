"""Fit one arm on a training fold; the selection fold only stops boosting, it is never learned."""

import numpy as np
from numpy.typing import NDArray

from models.arms import RESAMPLED, Arm, Family, Treatment
from models.preprocess import Floats, Preprocess, fit_preprocess
from models.resample import resample
from models.trainers import TRAINERS, Fitted, Sample, Task


def fit_arm(
    arm: Arm, train: Sample, stop: Sample, *, categorical: NDArray[np.int64], seed: int
) -> Fitted:
    """Prepare and resample inside the training fold, then fit.

    `categorical` are the columns that hold codes; only SMOTENC looks at them.
    """
    prepare = _preparation(arm, train.values)
    ready, stopping = _prepared(train, prepare), _prepared(stop, prepare)
    if arm.treatment in RESAMPLED:
        ready = _resampled(arm, ready, categorical, seed)
    if arm.treatment is Treatment.WEIGHT:
        ready = _class_weighted(ready)
    task = Task(ready, stopping, prepare, arm.params, seed)
    fitted = TRAINERS[arm.family](task)
    return Fitted(fitted.predictor, fitted.params | {"train_rows": len(ready.target)})


def _preparation(arm: Arm, values: Floats) -> Preprocess | None:
    """Trees read raw features; SMOTE, sums and nets need them complete and on one scale."""
    is_tree = arm.family not in (Family.LOGISTIC_REGRESSION, Family.NEURAL_NET)
    if is_tree and arm.treatment not in RESAMPLED:
        return None
    return fit_preprocess(values, is_log=not is_tree)


def _prepared(sample: Sample, prepare: Preprocess | None) -> Sample:
    if prepare is None:
        return sample
    return Sample(prepare.apply(sample.values), sample.target, sample.weight)


def _resampled(arm: Arm, train: Sample, categorical: NDArray[np.int64], seed: int) -> Sample:
    codes = categorical if arm.treatment is Treatment.SMOTENC else categorical[:0]
    values, target = resample(train.values, train.target, float(arm.ratio or 1.0), codes, seed)
    made = len(target) - len(train.target)
    return Sample(values, target, np.concatenate([train.weight, np.ones(made)]))


def _class_weighted(train: Sample) -> Sample:
    """Each class weighs half of the whole."""
    share = np.average(train.target, weights=train.weight)
    factor = np.where(train.target == 1, 0.5 / share, 0.5 / (1.0 - share))
    return Sample(train.values, train.target, train.weight * factor)
