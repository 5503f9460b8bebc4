"""Decisions by money: the cheapest wins, capacity holds, control is a function of the id."""

import numpy as np
import pytest
from models_world import policy_settings

from models.policy import Policy, control_draw, expected_costs, fit_policy, policy_from
from models.policy_kernel import APPROVE, DECLINE, REVIEW

COSTS = policy_settings()
AMOUNTS = np.array([5_000, 5_000, 5_000], dtype=np.int64)
IDS = ["a", "b", "c"]


def decided(probability: list[float], policy: Policy | None = None) -> list[int]:
    """Decision codes at 50.00 each."""
    chosen: list[int] = (
        (policy or Policy(COSTS, 0.0)).choose(np.array(probability), AMOUNTS).tolist()
    )
    return chosen


def test_the_cheapest_expected_cost_wins() -> None:
    """A likely fraud is declined, an unlikely one approved, a doubtful one reviewed."""
    assert decided([0.001, 0.1, 0.9]) == [APPROVE, REVIEW, DECLINE]


def test_a_large_amount_is_looked_at_sooner() -> None:
    """At one probability, a larger amount earns a review."""
    policy = Policy(COSTS, 0.0)
    small_large = policy.choose(np.array([0.01, 0.01]), np.array([500, 500_000]))
    assert small_large.tolist() == [APPROVE, REVIEW]


def test_fraud_threshold_overrides_the_policys_own() -> None:
    """With FRAUD_THRESHOLD set, exactly the scores from there on are declined."""
    costs = COSTS.model_copy(update={"fraud_threshold": 0.5})
    assert decided([0.4999, 0.5, 0.9], Policy(costs, 0.0))[1:] == [DECLINE, DECLINE]
    assert decided([0.4999, 0.5, 0.9], Policy(costs, 0.0))[0] != DECLINE


def test_reviews_stay_within_capacity_on_enough_days() -> None:
    """The shadow price leaves at most the capacity on 90 % of the days it was set on."""
    costs = COSTS.model_copy(update={"review_capacity_per_day": 5})
    generator = np.random.default_rng(3)
    probability = generator.random(3000) * 0.3
    amount = generator.integers(1000, 50_000, 3000)
    day = np.repeat(np.arange(30), 100)
    policy = fit_policy(costs, probability, amount, day)
    reviews = np.bincount(day[policy.choose(probability, amount) == REVIEW], minlength=30)
    assert (reviews <= 5).mean() >= 0.9
    assert reviews.max() >= 5


def test_control_lets_a_share_of_small_declines_through() -> None:
    """About one in a hundred declines under the cap goes ahead; none above it."""
    ids = [f"t{i}" for i in range(20_000)]
    probability = np.full(20_000, 0.99)
    policy = Policy(COSTS, 0.0)
    under = policy.decide(probability, np.full(20_000, COSTS.control_amount_cap_minor), ids)
    above = policy.decide(probability, np.full(20_000, COSTS.control_amount_cap_minor + 1), ids)
    assert 150 < under.control.sum() < 250
    assert (under.decision[under.control] == APPROVE).all()
    assert (under.propensity == COSTS.control_rate).all()
    assert not above.control.any()
    assert (above.propensity == 0.0).all()


def test_control_depends_on_the_id_alone() -> None:
    """The same id is drawn the same in every replay and in any company."""
    policy = Policy(COSTS, 0.0)
    ids = [f"t{i}" for i in range(500)]
    whole = policy.decide(np.full(500, 0.99), np.full(500, 100), ids).control
    halves = [policy.decide(np.full(250, 0.99), np.full(250, 100), ids[k:][:250]) for k in (0, 250)]
    assert whole.tolist() == [c for half in halves for c in half.control.tolist()]
    assert control_draw("t1") == control_draw("t1")


def test_expected_loss_is_probability_times_exposure() -> None:
    """Expected loss is p (amount + fixed) in minor units; a refund exposes the fixed part."""
    found = Policy(COSTS, 0.0).decide(np.array([0.5, 0.5]), np.array([10_000, -500]), ["a", "b"])
    assert found.expected_loss_minor.tolist() == [6_000, 1_000]


def test_of_equal_costs_the_milder_decision_wins() -> None:
    """Approve before review, either of them before decline."""
    free = COSTS.model_copy(update={"review_cost_minor": 0, "review_catch_rate": 0.0})
    assert decided([0.001] * 3, Policy(free, 0.0)) == [APPROVE] * 3
    even = free.model_copy(
        update={
            "missed_fraud_fixed_minor": 0,
            "false_decline_fixed_minor": 0,
            "false_decline_rate": 1.0,
        }
    )
    assert decided([0.5] * 3, Policy(even, 1.0)) == [APPROVE] * 3


def test_declining_a_refund_costs_the_fixed_part_alone() -> None:
    """A refund's amount is nobody's loss and nobody's lost sale."""
    approve, _, decline = expected_costs(COSTS, np.array([0.5]), np.array([-10_000]))
    assert approve[0] == 0.5 * COSTS.missed_fraud_fixed_minor
    assert decline[0] == 0.5 * COSTS.false_decline_fixed_minor


def test_every_amount_has_a_probability() -> None:
    """What is missing is refused, not read from where nobody wrote it."""
    with pytest.raises(ValueError, match="2 probabilities for 3 amounts"):
        Policy(COSTS, 0.0).choose(np.array([0.1, 0.2]), AMOUNTS)


def test_a_policy_survives_json() -> None:
    """A stored policy is the same policy, with the same version; another price is another."""
    policy = Policy(COSTS, 12.5)
    assert policy_from(policy.to_tree()) == policy
    assert policy_from(policy.to_tree()).version == policy.version
    assert policy.version != Policy(COSTS, 13.0).version


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_certainty_is_free_of_cost(probability: float) -> None:
    """What is certainly honest is approved, what is certainly fraud is declined."""
    expected = DECLINE if probability else APPROVE
    assert decided([probability] * 3) == [expected] * 3
