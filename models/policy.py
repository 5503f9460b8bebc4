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
from models import policy_kernel as kernel
from models.policy_kernel import APPROVE, DECLINE

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
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
    expected_loss_minor: Ints
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

    def choose(self, probability: Floats, amount_minor: Ints) -> NDArray[np.int8]:
        """Decision codes before control sampling; ties go to the milder decision."""
        return self._chosen(probability, amount_minor)[0]

    def decide(
        self, probability: Floats, amount_minor: Ints, transaction_ids: Sequence[str]
    ) -> Decided:
        """Decide, and let a hash-chosen share of the declines under the cap through."""
        decision, loss, declined = self._chosen(probability, amount_minor)
        control, propensity = np.zeros(len(decision), dtype=np.bool_), np.ones(len(decision))
        if declined:
            rows = np.flatnonzero(decision == DECLINE)
            propensity[rows] = 0.0
            for row in rows[amount_minor[rows] <= self.costs.control_amount_cap_minor].tolist():
                propensity[row] = self.costs.control_rate
                control[row] = control_draw(transaction_ids[row]) < self.costs.control_rate
            decision[control] = APPROVE
        return Decided(decision, loss, control, propensity)

    @cached_property
    def _costs(self) -> Floats:
        return _array_of(self.costs, self.review_shadow_minor)

    def _chosen(
        self, probability: Floats, amount_minor: Ints
    ) -> tuple[NDArray[np.int8], Ints, int]:
        """Decision codes, expected losses, and how many are declined."""
        _refuse_other_lengths(probability, amount_minor)
        found: tuple[NDArray[np.int8], Ints, int] = kernel.chosen(
            self._costs, probability, np.ascontiguousarray(amount_minor)
        )
        return found


def policy_from(tree: Mapping[str, Any]) -> Policy:
    """Back from JSON."""
    return Policy(PolicySettings.model_validate(tree["costs"]), float(tree["review_shadow_minor"]))


def control_draw(transaction_id: str) -> float:
    """A number in [0, 1) that depends on the id alone: the same in every replay."""
    digest = hashlib.blake2b(transaction_id.encode(), digest_size=8, person=b"control").digest()
    return int.from_bytes(digest, "big") / _HASH_RANGE


def exposed(costs: PolicySettings, amount_minor: Ints) -> Floats:
    """What a missed fraud costs; a refund exposes nothing but the fixed part."""
    loss: Floats = kernel.exposures(_array_of(costs), np.ascontiguousarray(amount_minor))
    return loss


def expected_costs(
    costs: PolicySettings, probability: Floats, amount_minor: Ints
) -> tuple[Floats, Floats, Floats]:
    """Expected cost of approving, reviewing and declining, minor units, without shadow price."""
    _refuse_other_lengths(probability, amount_minor)
    found: tuple[Floats, Floats, Floats] = kernel.expected(
        _array_of(costs), probability, np.ascontiguousarray(amount_minor)
    )
    return found


def _refuse_other_lengths(probability: Floats, amount_minor: Ints) -> None:
    if len(probability) != len(amount_minor):  # the kernels do not look
        raise ValueError(f"{len(probability)} probabilities for {len(amount_minor)} amounts")


def _array_of(costs: PolicySettings, review_shadow_minor: float = 0.0) -> Floats:
    """The kernel's costs."""
    found = np.full(kernel.PLACES, np.nan)
    found[kernel.MISSED_FRAUD_FIXED] = costs.missed_fraud_fixed_minor
    found[kernel.REVIEW_COST] = costs.review_cost_minor
    found[kernel.REVIEW_CATCH_RATE] = costs.review_catch_rate
    found[kernel.FALSE_DECLINE_FIXED] = costs.false_decline_fixed_minor
    found[kernel.FALSE_DECLINE_RATE] = costs.false_decline_rate
    found[kernel.REVIEW_SHADOW] = review_shadow_minor
    if costs.fraud_threshold is not None:
        found[kernel.FRAUD_THRESHOLD] = costs.fraud_threshold
    return found


def incurred(
    costs: PolicySettings,
    decision: NDArray[np.int8],
    target: NDArray[np.int8],
    amount_minor: Ints,
) -> Floats:
    """What each decision cost once the truth is known, minor units."""
    approve, review, decline = expected_costs(costs, target.astype(np.float64), amount_minor)
    paid: Floats = np.choose(decision, [approve, review, decline])
    return paid


def fit_policy(
    costs: PolicySettings,
    probability: Floats,
    amount_minor: Ints,
    day: Ints,
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
