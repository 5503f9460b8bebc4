"""Time folds: order, gaps, shortening, refusal."""

import numpy as np
import pytest
from models_world import settings_with

from contracts.errors import TrainingError
from contracts.settings import LearningSettings
from models.folds import DAY_US, Fold, plan_folds

NOW = 1_775_000_000_000_000


def learning(tmp_path_factory: pytest.TempPathFactory, **changed: object) -> LearningSettings:
    """Learning settings with some changed."""
    return settings_with(tmp_path_factory.mktemp("s"), **changed).learning


def test_folds_lie_in_time_with_maturity_between(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Train, validation and test follow each other with the maturity as gap, up to now."""
    folds = plan_folds(NOW - 120 * DAY_US, NOW, learning(tmp_path_factory, maturity_days=10))
    assert folds.select_start - folds.train_end == 10 * DAY_US
    assert folds.test_start - folds.validation_end == 10 * DAY_US
    assert folds.now - folds.test_end == 10 * DAY_US
    assert folds.train_start < folds.train_end < folds.select_start < folds.calibrate_start


def test_no_fold_knows_labels_from_beyond_the_next_folds_start(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Each fold's cut lies exactly its maturity after its end, never later folds' knowledge."""
    folds = plan_folds(NOW - 120 * DAY_US, NOW, learning(tmp_path_factory, maturity_days=10))
    ends = {Fold.TRAIN: folds.train_end, Fold.CALIBRATE: folds.validation_end}
    assert all(folds.cut(fold) == end + 10 * DAY_US for fold, end in ends.items())
    assert folds.cut(Fold.TRAIN) <= folds.select_start
    assert folds.cut(Fold.SELECT) <= folds.test_start


def test_folds_never_overlap(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A time belongs to one fold or to a gap; the edges are half open."""
    folds = plan_folds(NOW - 120 * DAY_US, NOW, learning(tmp_path_factory, maturity_days=10))
    edges = np.array([folds.train_end - 1, folds.train_end, folds.select_start, folds.test_end])
    assert folds.assign(edges).tolist() == [Fold.TRAIN, Fold.NONE, Fold.SELECT, Fold.NONE]


def test_a_short_history_shortens_training_first(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """With 90 days and 7 of maturity, test and validation keep two weeks each."""
    folds = plan_folds(NOW - 90 * DAY_US, NOW, learning(tmp_path_factory, maturity_days=7))
    assert folds.test_end - folds.test_start == 14 * DAY_US
    assert folds.validation_end - folds.select_start == 14 * DAY_US
    assert folds.train_start >= NOW - 90 * DAY_US


def test_too_short_a_history_is_refused_with_the_missing_days(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """The error says how many days are missing, and how to get along without."""
    settings = learning(tmp_path_factory, maturity_days=45)
    with pytest.raises(TrainingError, match="more are needed"):
        plan_folds(NOW - 120 * DAY_US, NOW, settings)
