"""Tuning and earlier folds: counted, seeded, and never later than their cut."""

from pathlib import Path

import numpy as np
import pytest
from models_history import make_log
from models_world import make_table, settings_with

from models.arms import Family, make_arm
from models.build import FeaturePlan, build_training_table
from models.folds import DAY_US, Fold
from models.objects import open_objects
from models.snapshot import take_snapshot
from models.table import load_description, load_table
from models.trainers import TRAINERS
from models.tuning import SPACES, Tuned, tune_arm

TABLE = make_table()


def tuned(name: str, trials: int, tmp_path: Path, seed: int = 3) -> Tuned:
    """An arm after so many trials on the test table."""
    return tune_arm(
        make_arm(name, settings_with(tmp_path).learning),
        TABLE.of(Fold.TRAIN),
        TABLE.of(Fold.SELECT),
        categorical=np.array([3]),
        seed=seed,
        trials=trials,
        say=lambda _: None,
    )


def test_the_same_seed_tries_and_finds_the_same(tmp_path: Path) -> None:
    """Rows, seed and count decide everything; another seed tries other settings."""
    first, again = (tuned("logistic_regression", 4, tmp_path) for _ in range(2))
    assert first == again
    assert first.trials != tuned("logistic_regression", 4, tmp_path, seed=4).trials


def test_the_arms_own_settings_are_measured_first_and_may_win(tmp_path: Path) -> None:
    """So many trials beside the arm's own settings; the best of all of them is taken."""
    found = tuned("logistic_regression", 3, tmp_path)
    assert len(found.trials) == 4
    assert found.trials[0]["settings"] == {}
    best = max(found.trials, key=lambda trial: float(trial["ap"]))
    assert {name: found.arm.params[name] for name in best["settings"]} == best["settings"]


@pytest.mark.parametrize("family", list(Family))
def test_every_family_has_a_space_that_its_trainer_takes(family: Family, tmp_path: Path) -> None:
    """One trial of each family runs."""
    assert set(SPACES) == set(TRAINERS)
    assert len(tuned(family.value, 1, tmp_path).trials) == 2


def test_earlier_folds_end_earlier_and_know_less(tmp_path: Path) -> None:
    """A fold one step back is laid as if now had been a test's length ago."""
    lengths = {"test_days": 7, "validation_days": 10, "train_days": 20, "maturity_days": 3}
    settings = settings_with(tmp_path, **lengths, prequential_folds=2)
    manifest = take_snapshot(settings, reference="r", log=make_log(settings.kafka))
    objects = open_objects(settings.object_store)
    newest = load_description(objects, build_training_table(settings, manifest.uri, plan()))
    (earlier_uri,) = newest.notes["earlier_tables"]
    earlier = load_table(objects, earlier_uri)
    assert newest.folds.now - earlier.description.folds.now == 7 * DAY_US
    assert int(earlier.rows.event_time.max()) < earlier.description.folds.test_end
    assert earlier.description.folds.test_end <= newest.folds.test_start
    assert earlier.description.notes["earlier_tables"] == []


def plan() -> FeaturePlan:
    """The platform's features."""
    from models.build import platform_features

    return platform_features()
