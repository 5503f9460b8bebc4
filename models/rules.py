"""The rule tier: decides on the event alone; stands in for a model, and is its first rival."""

import numpy as np
from numpy.typing import NDArray

from contracts.settings import FallbackSettings
from models.policy import APPROVE, DECLINE, REVIEW


def rule_decisions(
    rules: FallbackSettings,
    amount_minor: NDArray[np.int64],
    category: NDArray[np.object_],
    country: NDArray[np.object_],
) -> NDArray[np.int8]:
    """Decision codes; the strictest rule that applies wins. Missing categories match nothing."""
    review = amount_minor >= rules.review_amount_minor
    review |= np.isin(category.astype(str), rules.review_categories)
    review |= np.isin(country.astype(str), rules.review_countries)
    decision = np.where(review, REVIEW, APPROVE)
    return np.where(amount_minor >= rules.decline_amount_minor, DECLINE, decision).astype(np.int8)
