"""When and through whom a fraud becomes known."""

import numpy as np
from numpy.typing import NDArray

from contracts.messages import LabelSource
from producer.spec import DAY_US, HOUR_US, WorldSpec

NEVER = np.int64(-1)
MAX_DELAY_DAYS = 40
"""No label comes later than this after its transaction."""

CHARGEBACK, INVESTIGATION, CUSTOMER_REPORT, CORRECTION, UNREPORTED = range(5)
SOURCES = (
    LabelSource.CHARGEBACK,
    LabelSource.INVESTIGATION,
    LabelSource.CUSTOMER_REPORT,
    LabelSource.CORRECTION,
)
_SIGMA = np.array([0.557, 0.3, 0.4, 0.4])
"""Log-normal: 95 % of chargebacks come within their median x exp(1.645 x 0.557), 4 to 10 days."""
_DISCOVERED_BY = np.array([0.64, 0.09, 0.27, 0.0])
"""Chances per victim who tells, by source."""
_CORRECTION_DAYS = 6.0


def draw_source(spec: WorldSpec, rng: np.random.Generator) -> int:
    """How one victim's fraud comes to light, or UNREPORTED."""
    told = _DISCOVERED_BY * (1.0 - spec.unreported_share)
    return int(rng.choice(len(told) + 1, p=[*told, 1.0 - told.sum()]))


def medians_us(spec: WorldSpec) -> tuple[float, ...]:
    """The median delay of each source, in microseconds."""
    return (
        spec.chargeback_days * DAY_US,
        spec.investigation_hours * HOUR_US,
        spec.report_hours * HOUR_US,
        _CORRECTION_DAYS * DAY_US,
    )


def delays_us(
    spec: WorldSpec, source: int, count: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Time from a transaction to its label, in microseconds."""
    factor = np.exp(_SIGMA[source] * rng.standard_normal(count))
    capped = np.minimum(medians_us(spec)[source] * factor, MAX_DELAY_DAYS * DAY_US)
    return np.asarray(capped, dtype=np.int64)


def report_times(
    spec: WorldSpec, event_us: NDArray[np.int64], source: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """When each purchase of one victim gets its label, NEVER if not at all.

    Chargebacks come one by one; a customer or an investigator names everything so far at once.
    """
    if source == UNREPORTED:
        return np.full(len(event_us), NEVER)
    if source == CHARGEBACK:
        return event_us + delays_us(spec, source, len(event_us), rng)
    found = event_us.min() + delays_us(spec, source, 1, rng)[0]
    return np.full(len(event_us), found, dtype=np.int64)
