"""The gate: passes by evidence, refuses worse, and says when it cannot tell."""

import numpy as np
from models_world import Shape, make_rows, policy_settings

from models.evaluation import figures
from models.gate import Opinion, run_gate
from models.metrics import average_precision, rank
from models.policy import Policy
from models.predictors import sigmoid
from models.selection import Judged
from models.table import Rows

COSTS = policy_settings()
ROWS = make_rows(seed=4, shape=Shape(rows=8000, days=14, fraud_share=0.03))
PERFECT = ROWS.target * 8.0 - 4.0


class Fixed:
    """A contender with given margins."""

    def __init__(self, name: str, margin: np.ndarray) -> None:
        self.name, self.margin = name, margin

    def judge(self, rows: Rows) -> Opinion:
        """The margins it was made with."""
        probability = np.clip(sigmoid(self.margin), 1e-6, 1 - 1e-6)
        probability = probability * rows.target.sum() / probability.sum()
        decision = Policy(COSTS, 0.0).choose(probability, rows.amount_minor)
        return Opinion(self.name, self.margin, decision, probability)


def noisy(scale: float) -> Fixed:
    """Truth with noise: the larger, the worse."""
    noise = np.random.default_rng(int(scale * 10)).normal(size=len(ROWS)) * scale
    return Fixed(f"noise {scale}", PERFECT + noise)


def test_an_equal_passes() -> None:
    """The champion against itself passes: the bounds allow for nothing gained."""
    assert run_gate(noisy(3), noisy(3), ROWS, COSTS, 1).passed


def test_a_worse_one_fails() -> None:
    """A clearly worse challenger fails on precision and money."""
    verdict = run_gate(noisy(6), noisy(1), ROWS, COSTS, 1)
    assert verdict.outcome == "failed"
    assert [check.holds for check in verdict.checks[1:3]] == [False, False]


def test_a_better_one_passes() -> None:
    """A clearly better challenger passes."""
    assert run_gate(noisy(1), noisy(6), ROWS, COSTS, 1).passed


def test_too_few_frauds_are_inconclusive() -> None:
    """Below a hundred matured frauds nothing is decided, however good the challenger."""
    few = ROWS.where(np.cumsum(ROWS.target) < 100)
    better = Fixed("better", PERFECT[: len(few)])
    verdict = run_gate(better, Fixed("worse", -PERFECT[: len(few)]), few, COSTS, 1)
    assert verdict.outcome == "inconclusive"
    assert not verdict.passed


def test_a_miscalibrated_one_fails() -> None:
    """Probabilities three times too high fail on observed over expected."""

    class Loud(Fixed):
        def judge(self, rows: Rows) -> Opinion:
            opinion = super().judge(rows)
            loud = opinion.probability
            return Opinion(
                self.name, self.margin, opinion.decision, None if loud is None else loud * 3
            )

    loud = Loud("loud", noisy(2).margin)
    assert [check.holds for check in run_gate(loud, noisy(2), ROWS, COSTS, 1).checks][-1] is False


def test_intervals_hold_their_figure_and_narrow_with_data() -> None:
    """Every interval contains its figure; ten times the rows make it narrower."""
    widths = []
    for count in (2000, 20_000):
        rows = make_rows(seed=9, shape=Shape(rows=count, days=14, fraud_share=0.03))
        margin = rows.target * 2.0 + np.random.default_rng(1).normal(size=count) - 3.0
        probability = sigmoid(margin)
        decision = Policy(COSTS, 0.0).choose(probability, rows.amount_minor)
        found = figures(Judged(margin, probability, decision), rows, COSTS, seed=1, replicates=60)
        measured = [f for f in found.values() if f.low == f.low]
        assert len(measured) >= 9
        assert found["ap"].low < found["ap"].value < found["ap"].high
        widths.append(found["ap"].high - found["ap"].low)
    assert widths[1] < widths[0]


def test_average_precision_is_sklearns() -> None:
    """With ties and weights, the fast average precision equals scikit-learn's."""
    from sklearn.metrics import average_precision_score

    generator = np.random.default_rng(2)
    score = generator.integers(0, 20, len(ROWS)).astype(float) + ROWS.target * 3
    weight = generator.integers(1, 5, len(ROWS)).astype(float)
    ours = average_precision(rank(score), ROWS.target, weight)
    theirs = average_precision_score(ROWS.target, score, sample_weight=weight)
    assert abs(ours - theirs) < 1e-12
