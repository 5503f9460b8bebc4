"""Expected money per decision, as machine code: a stream's batches are too small for array calls.

Amounts and costs are in minor units, probabilities those of fraud.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

APPROVE, REVIEW, DECLINE = 0, 1, 2
(
    MISSED_FRAUD_FIXED,
    REVIEW_COST,
    REVIEW_CATCH_RATE,
    FALSE_DECLINE_FIXED,
    FALSE_DECLINE_RATE,
    REVIEW_SHADOW,
    FRAUD_THRESHOLD,
) = range(7)
"""Places in an array of costs; a threshold is NaN where decisions follow money alone."""
PLACES = 7

part = njit(cache=True, forceinline=True)


@part  # type: ignore[untyped-decorator]
def exposed_by(costs: Floats, amount: int) -> float:
    """What a missed fraud costs; a refund exposes nothing but the fixed part."""
    fixed: float = costs[MISSED_FRAUD_FIXED]
    return max(amount, 0) + fixed


@part  # type: ignore[untyped-decorator]
def costs_of(costs: Floats, probability: float, amount: int) -> tuple[float, float, float]:
    """Expected cost of approving, reviewing and declining one transaction, without shadow price."""
    approve = probability * exposed_by(costs, amount)
    review = costs[REVIEW_COST] + (1.0 - costs[REVIEW_CATCH_RATE]) * approve
    wrong = costs[FALSE_DECLINE_FIXED] + costs[FALSE_DECLINE_RATE] * max(amount, 0)
    return approve, review, (1.0 - probability) * wrong


@part  # type: ignore[untyped-decorator]
def cheapest(costs: Floats, probability: float, amount: int) -> int:
    """The decision for one transaction; ties go to the milder one."""
    approve, review, decline = costs_of(costs, probability, amount)
    review += costs[REVIEW_SHADOW]
    threshold = costs[FRAUD_THRESHOLD]
    is_over = probability >= threshold if threshold == threshold else decline < min(approve, review)
    if is_over:
        return DECLINE
    return REVIEW if review < approve else APPROVE


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def exposures(costs: Floats, amounts: Ints) -> Floats:
    """`exposed_by` every amount."""
    found = np.empty(len(amounts))
    for i in range(len(amounts)):
        found[i] = exposed_by(costs, amounts[i])
    return found


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def expected(costs: Floats, probability: Floats, amounts: Ints) -> tuple[Floats, Floats, Floats]:
    """`costs_of` every transaction: what approving, reviewing and declining it costs."""
    approve, review, decline = (
        np.empty(len(amounts)),
        np.empty(len(amounts)),
        np.empty(len(amounts)),
    )
    for i in range(len(amounts)):
        approve[i], review[i], decline[i] = costs_of(costs, probability[i], amounts[i])
    return approve, review, decline


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def chosen(costs: Floats, probability: Floats, amounts: Ints) -> tuple[NDArray[np.int8], Ints, int]:
    """Every transaction's cheapest decision and expected loss, and how many are declined."""
    decision, loss = np.empty(len(amounts), np.int8), np.empty(len(amounts), np.int64)
    declined = 0
    for i in range(len(amounts)):
        decision[i] = cheapest(costs, probability[i], amounts[i])
        loss[i] = np.int64(np.rint(probability[i] * exposed_by(costs, amounts[i])))
        declined += decision[i] == DECLINE
    return decision, loss, declined


def load_kernels() -> None:
    """Compile what decides, or load it: seconds on the first run, then as long as a file read."""
    chosen(np.zeros(PLACES), np.zeros(1), np.zeros(1, dtype=np.int64))
