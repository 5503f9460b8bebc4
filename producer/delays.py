"""When and through whom a fraud becomes known."""

import numpy as np
from numpy.typing import NDArray

from contracts.messages import LabelSource
from producer.spec import DAY_US, HOUR_US

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
_MEDIAN_US = np.array([4.0 * DAY_US, 6.0 * HOUR_US, 1.0 * DAY_US, 6.0 * DAY_US])
_SIGMA = np.array([0.557, 0.3, 0.4, 0.4])
"""Log-normal: 95 % of chargebacks come within 4 days x exp(1.645 x 0.557) = 10 days."""
_DISCOVERED_BY = np.array([0.58, 0.08, 0.24, 0.0, 0.10])
"""Chances per victim; the last is the share of fraud that nobody ever reports."""


def draw_source(rng: np.random.Generator) -> int:
    """How one victim's fraud comes to light, or UNREPORTED."""
    return int(rng.choice(len(_DISCOVERED_BY), p=_DISCOVERED_BY))


def delays_us(source: int, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Time from a transaction to its label, in microseconds."""
    factor = np.exp(_SIGMA[source] * rng.standard_normal(count))
    capped = np.minimum(_MEDIAN_US[source] * factor, MAX_DELAY_DAYS * DAY_US)
    return np.asarray(capped, dtype=np.int64)


def report_times(
    event_us: NDArray[np.int64], source: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """When each purchase of one victim gets its label, NEVER if not at all.

    Chargebacks come one by one; a customer or an investigator names everything so far at once.
    """
    if source == UNREPORTED:
        return np.full(len(event_us), NEVER)
    if source == CHARGEBACK:
        return event_us + delays_us(source, len(event_us), rng)
    found = event_us.min() + delays_us(source, 1, rng)[0]
    return np.full(len(event_us), found, dtype=np.int64)
