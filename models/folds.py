"""Time folds with maturity as the gap: what a model could have known at each cut, and no more.

    train | gap | validation, first half, second half | gap | test | gap | now

Labels of the training fold are those known when validation begins, labels of validation those known
when the test begins, labels of the test those known now: a gap of `maturity_days` lies between a
fold's end and its cut, so both classes of a fold are equally old.
"""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from contracts.errors import TrainingError
from contracts.settings import LearningSettings

DAY_US = 86_400_000_000
MIN_TRAIN_DAYS = 14
MIN_TEST_DAYS = 7
MIN_VALIDATION_DAYS = 6


class Fold(IntEnum):
    """Where a transaction belongs; NONE lies in a gap or outside."""

    NONE = 0
    TRAIN = 1
    SELECT = 2
    CALIBRATE = 3
    TEST = 4


@dataclass(frozen=True, slots=True)
class Folds:
    """Half-open event-time intervals, microseconds; each begins where the name says.

    `select` is the first half of validation (stops, tunes, picks the arm), `calibrate` the second
    (fits calibrator and thresholds). `now` is the newest record timestamp of the snapshot.
    """

    train_start: int
    train_end: int
    select_start: int
    calibrate_start: int
    validation_end: int
    test_start: int
    test_end: int
    now: int

    def assign(self, event_time: NDArray[np.int64]) -> NDArray[np.int8]:
        """The fold of each transaction by its event time."""
        fold = np.zeros(len(event_time), dtype=np.int8)
        for name, start, end in (
            (Fold.TRAIN, self.train_start, self.train_end),
            (Fold.SELECT, self.select_start, self.calibrate_start),
            (Fold.CALIBRATE, self.calibrate_start, self.validation_end),
            (Fold.TEST, self.test_start, self.test_end),
        ):
            fold[(event_time >= start) & (event_time < end)] = name
        return fold

    def cut(self, fold: Fold) -> int:
        """The time whose knowledge labels a fold."""
        cuts = {Fold.TRAIN: self.select_start, Fold.TEST: self.now}
        return cuts.get(fold, self.test_start)

    def as_days(self) -> dict[str, str]:
        """Readable bounds, for reports and tags."""
        return {name: _date(value) for name, value in asdict(self).items()}


def _date(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / 1e6, tz=UTC).isoformat(timespec="minutes")


@dataclass(frozen=True, slots=True)
class _Lengths:
    train: float
    validation: float
    test: float


def plan_folds(first_us: int, now_us: int, learning: LearningSettings) -> Folds:
    """Lay the folds backwards from now; a short history shortens them, training first.

    Raises:
        TrainingError: even the shortest folds do not fit; says how many days are missing.
    """
    history = (now_us - first_us) / DAY_US
    lengths = _fit(history - 3 * learning.maturity_days, learning, history)
    gap = learning.maturity_days * DAY_US
    test_end = now_us - gap
    test_start = test_end - round(lengths.test * DAY_US)
    validation_end = test_start - gap
    select_start = validation_end - round(lengths.validation * DAY_US)
    train_end = select_start - gap
    return Folds(
        train_start=max(first_us, train_end - round(lengths.train * DAY_US)),
        train_end=train_end,
        select_start=select_start,
        calibrate_start=(select_start + validation_end) // 2,
        validation_end=validation_end,
        test_start=test_start,
        test_end=test_end,
        now=now_us,
    )


def _fit(days: float, learning: LearningSettings, history: float) -> _Lengths:
    """Shorten training down to its minimum first, then test and validation in proportion."""
    test, validation = float(learning.test_days), float(learning.validation_days)
    least = min(MIN_TRAIN_DAYS, learning.train_days)
    spare = days - least
    share = min(1.0, spare / (test + validation))
    shortest = min(MIN_TEST_DAYS, test) + min(MIN_VALIDATION_DAYS, validation)
    if spare < shortest:
        raise TrainingError(
            f"the history of {history:.1f} days is too short: {shortest - spare:.1f} more are "
            f"needed for training, validation and test with {learning.maturity_days} days between",
            remedy="Wait, import more history, or lower MATURITY_DAYS",
        )
    test, validation = (
        max(test * share, min(MIN_TEST_DAYS, test)),
        max(validation * share, min(MIN_VALIDATION_DAYS, validation)),
    )
    return _Lengths(min(float(learning.train_days), days - test - validation), validation, test)
