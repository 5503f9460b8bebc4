"""The fallback tier: rules on the event alone, for when no model or no store is usable."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contracts.settings import FallbackSettings

APPROVE, REVIEW, DECLINE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class RuleReason:
    """The rule that decided: its code, the field it read, and a value if that is a number."""

    code: str
    field: str
    value: float | None

    def as_json(self) -> dict[str, Any]:
        """The reason as it stands in a decision."""
        return {
            "code": self.code,
            "contribution": 0.0,
            "feature": self.field,
            "value": self.value,
            "method": "rule",
        }


@dataclass(frozen=True, slots=True)
class Ruled:
    """A decision code per row, and the rules that made it."""

    decision: NDArray[np.int8]
    reasons: list[list[RuleReason]]


@dataclass(frozen=True, slots=True)
class _Rule:
    code: str
    field: str
    decision: int
    holds: NDArray[np.bool_]


class FallbackRules:
    """The rules of `settings.fallback`; the severest one that holds decides."""

    def __init__(self, settings: FallbackSettings) -> None:
        self._settings = settings

    @property
    def version(self) -> str:
        """Stands in decisions where a model's and a policy's version would."""
        return self._settings.version

    def decide(self, events: pa.Table) -> Ruled:
        """Decide events that hold the columns of TRANSACTION_SCHEMA."""
        rules = self._evaluated(events)
        decision = np.zeros(len(events), dtype=np.int8)
        for rule in rules:
            np.maximum(decision, np.where(rule.holds, rule.decision, 0), out=decision)
        return Ruled(decision, _reasons(rules, decision, events["amount_minor"].to_numpy()))

    def _evaluated(self, events: pa.Table) -> Sequence[_Rule]:
        limits = self._settings
        amount = events["amount_minor"].to_numpy()
        category = _is_one_of(events["merchant_category"], limits.review_categories)
        country = _is_one_of(events["country"], limits.review_countries)
        return (
            _Rule("large_amount", "amount_minor", DECLINE, amount >= limits.decline_amount_minor),
            _Rule("high_amount", "amount_minor", REVIEW, amount >= limits.review_amount_minor),
            _Rule("listed_category", "merchant_category", REVIEW, category),
            _Rule("listed_country", "country", REVIEW, country),
        )


def _is_one_of(column: pa.ChunkedArray, values: Sequence[str]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = pc.is_in(column, pa.array(values, pa.string())).to_numpy()
    return found


def _reasons(
    rules: Sequence[_Rule], decision: NDArray[np.int8], amount: NDArray[np.int64]
) -> list[list[RuleReason]]:
    reasons: list[list[RuleReason]] = [[] for _ in decision]
    for rule in rules:
        for row in np.flatnonzero(rule.holds & (decision == rule.decision)).tolist():
            value = float(amount[row]) if rule.field == "amount_minor" else None
            reasons[row].append(RuleReason(rule.code, rule.field, value))
    return reasons
