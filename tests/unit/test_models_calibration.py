"""Calibration: probabilities that can be believed, kept as numbers."""

import json

import numpy as np
import pytest

from models.calibration import FLOOR, Calibrator, calibrate, calibrator_from

GENERATOR = np.random.default_rng(5)


def sample(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Margins twice too steep, targets, cards."""
    truth = GENERATOR.normal(size=count) * 1.5 - 2.5
    target = (GENERATOR.random(count) < 1 / (1 + np.exp(-truth))).astype(np.int8)
    return truth * 2.0, target, GENERATOR.integers(0, 300, count)


@pytest.mark.parametrize("count", [3000, 20_000])
def test_calibration_finds_the_true_rate(count: int) -> None:
    """On fresh rows the mean probability is within a tenth of the fraud rate."""
    margin, target, card = sample(count)
    found = calibrate(margin, target, np.ones(count), card).calibrator
    fresh, truth, _ = sample(20_000)
    assert found.probability(fresh).mean() == pytest.approx(truth.mean(), rel=0.1)


def test_isotonic_takes_part_only_with_enough_frauds() -> None:
    """Below 500 frauds only the smooth calibrators are compared."""
    margin, target, card = sample(2000)
    few = calibrate(margin, target, np.ones(2000), card)
    margin, target, card = sample(20_000)
    many = calibrate(margin, target, np.ones(20_000), card)
    assert set(few.log_loss) == {"platt", "beta"}
    assert set(many.log_loss) == {"platt", "beta", "isotonic"}


def test_a_calibrator_keeps_the_order() -> None:
    """A larger margin never gives a smaller probability, and none is 0 or 1."""
    margin, target, card = sample(20_000)
    found = calibrate(margin, target, np.ones(20_000), card).calibrator
    grid = found.probability(np.linspace(-60, 60, 500))
    assert (np.diff(grid) >= 0).all()
    assert grid.min() >= FLOOR
    assert grid.max() <= 1 - FLOOR


@pytest.mark.parametrize(
    "calibrator",
    [
        Calibrator("platt", (0.7,), (-1.1,)),
        Calibrator("beta", (0.4, 0.3), (0.1,)),
        Calibrator("isotonic", (-1.0, 0.0, 2.0), (0.01, 0.1, 0.7)),
    ],
)
def test_a_calibrator_survives_json_bit_for_bit(calibrator: Calibrator) -> None:
    """Stored and read back, it gives the same bits."""
    loaded = calibrator_from(json.loads(json.dumps(calibrator.to_tree())))
    margin = np.linspace(-5, 5, 101)
    assert loaded.probability(margin).tobytes() == calibrator.probability(margin).tobytes()


def test_crossfitted_probabilities_come_from_other_cards() -> None:
    """Flipping one card part's targets leaves its own out-of-fold probabilities as they were."""
    margin, target, card = sample(4000)
    weight = np.ones(4000)
    before = calibrate(margin, target, weight, card).crossfitted
    flipped = np.where(card % 5 == 2, 1 - target, target).astype(np.int8)
    after = calibrate(margin, flipped, weight, card)
    mine = card % 5 == 2
    if calibrate(margin, target, weight, card).calibrator.kind == after.calibrator.kind:
        assert np.array_equal(before[mine], after.crossfitted[mine])
    assert not np.array_equal(before[~mine], after.crossfitted[~mine])
