"""From a probability and an amount to approve, review or decline, by expected money.

Costs of one transaction with fraud probability p and amount a (minor units):
    approve  p (a + missed_fraud_fixed)
    review   review_cost + (1 - review_catch_rate) p (a + missed_fraud_fixed)
    decline  (1 - p) (false_decline_fixed + false_decline_rate a)
The cheapest wins. Reviews are scarce: each also pays a shadow price, set on validation days so that
the review capacity holds on `capacity_met_share` of them. There is no counter at serving time.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.settings import PolicySettings

Floats = NDArray[np.float64]
APPROVE, REVIEW, DECLINE = 0, 1, 2
TIE_BREAK_MINOR = 1e-6
_HASH_RANGE = float(1 << 64)


@dataclass(frozen=True, slots=True)
class Decided:
    """Per transaction: decision code, p (a + fixed) in minor units, control flag, propensity.

    `control` marks a would-be decline that is let through to learn from. `propensity` is the
    probability of going ahead: 1 for the others, the control rate for a would-be decline under the
    cap, 0 above it.
    """

    decision: NDArray[np.int8]
    expected_loss_minor: NDArray[np.int64]
    control: NDArray[np.bool_]
    propensity: Floats


@dataclass(frozen=True)
class Policy:
    """Costs as configured, and the shadow price that validation found."""

    costs: PolicySettings
    review_shadow_minor: float

    @cached_property
    def version(self) -> str:
        """A digest of everything that decides."""
        body = json.dumps(self.to_tree(), sort_keys=True)
        return f"policy-{hashlib.sha256(body.encode()).hexdigest()[:8]}"

    def to_tree(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "costs": self.costs.model_dump(mode="json"),
            "review_shadow_minor": self.review_shadow_minor,
        }

    def choose(self, probability: Floats, amount_minor: NDArray[np.int64]) -> NDArray[np.int8]:
        """Decision codes before control sampling; ties go to the milder decision."""
        approve, review, decline = expected_costs(self.costs, probability, amount_minor)
        review += self.review_shadow_minor
        decision = np.full(len(probability), APPROVE, dtype=np.int8)
        decision[review < approve] = REVIEW
        threshold = self.costs.fraud_threshold
        if threshold is None:
            decision[decline < np.minimum(approve, review)] = DECLINE
        else:
            decision[probability >= threshold] = DECLINE
        return decision

    def decide(
        self,
        probability: Floats,
        amount_minor: NDArray[np.int64],
        transaction_ids: Sequence[str],
    ) -> Decided:
        """Decide, and let a hash-chosen share of the declines under the cap through."""
        decision = self.choose(probability, amount_minor)
        control, propensity = np.zeros(len(decision), dtype=bool), np.ones(len(decision))
        declined = np.flatnonzero(decision == DECLINE)
        propensity[declined] = 0.0
        for row in declined[amount_minor[declined] <= self.costs.control_amount_cap_minor].tolist():
            propensity[row] = self.costs.control_rate
            control[row] = control_draw(transaction_ids[row]) < self.costs.control_rate
        decision[control] = APPROVE
        loss = np.rint(probability * exposed(self.costs, amount_minor)).astype(np.int64)
        return Decided(decision, loss, control, propensity)


def policy_from(tree: Mapping[str, Any]) -> Policy:
    """Back from JSON."""
    return Policy(PolicySettings.model_validate(tree["costs"]), float(tree["review_shadow_minor"]))


def control_draw(transaction_id: str) -> float:
    """A number in [0, 1) that depends on the id alone: the same in every replay."""
    digest = hashlib.blake2b(transaction_id.encode(), digest_size=8, person=b"control").digest()
    return int.from_bytes(digest, "big") / _HASH_RANGE


def exposed(costs: PolicySettings, amount_minor: NDArray[np.int64]) -> Floats:
    """What a missed fraud costs; a refund exposes nothing but the fixed part."""
    loss: Floats = np.maximum(amount_minor, 0).astype(np.float64) + costs.missed_fraud_fixed_minor
    return loss


def false_decline(costs: PolicySettings, amount_minor: NDArray[np.int64]) -> Floats:
    """What declining an honest customer costs."""
    share = costs.false_decline_rate * np.maximum(amount_minor, 0)
    cost: Floats = costs.false_decline_fixed_minor + share
    return cost


def expected_costs(
    costs: PolicySettings, probability: Floats, amount_minor: NDArray[np.int64]
) -> tuple[Floats, Floats, Floats]:
    """Expected cost of approving, reviewing and declining, minor units, without shadow price."""
    approve = probability * exposed(costs, amount_minor)
    review = costs.review_cost_minor + (1.0 - costs.review_catch_rate) * approve
    decline = (1.0 - probability) * false_decline(costs, amount_minor)
    return approve, review, decline


def incurred(
    costs: PolicySettings,
    decision: NDArray[np.int8],
    target: NDArray[np.int8],
    amount_minor: NDArray[np.int64],
) -> Floats:
    """What each decision cost once the truth is known, minor units."""
    approve, review, decline = expected_costs(costs, target.astype(np.float64), amount_minor)
    paid: Floats = np.choose(decision, [approve, review, decline])
    return paid


def fit_policy(
    costs: PolicySettings,
    probability: Floats,
    amount_minor: NDArray[np.int64],
    day: NDArray[np.int64],
) -> Policy:
    """The smallest shadow price that keeps reviews within capacity on enough validation days."""
    approve, review, decline = expected_costs(costs, probability, amount_minor)
    gain = np.minimum(approve, decline) - review
    if costs.fraud_threshold is not None:
        gain = np.where(probability >= costs.fraud_threshold, -np.inf, approve - review)
    needed = [
        _price_of_day(gain[day == number], costs.review_capacity_per_day)
        for number in np.unique(day)
    ]
    rank = max(0, int(np.ceil(costs.capacity_met_share * len(needed))) - 1)
    return Policy(costs, float(np.sort(needed)[rank]) if needed else 0.0)


def _price_of_day(gain: Floats, capacity: int) -> float:
    """A little more than the gain of the first review beyond capacity, 0 when there is none."""
    wanted = np.sort(gain[gain > 0])[::-1]
    return float(wanted[capacity]) + TIE_BREAK_MINOR if len(wanted) > capacity else 0.0
