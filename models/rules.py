"""The rule tier: decides on the event alone; stands in for a model, and is its first rival.

A rule (`fallback.rules` in the settings) holds where all of its conditions do; of the rules that
hold the severest decides. A missing field meets no condition. A rule that is `with_model` also
raises a model's decision, never lowers it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contracts.rule_settings import ConditionSettings, FallbackSettings, RuleSettings
from models.policy_kernel import DECLINE, REVIEW

Columns = Mapping[str, pa.Array | pa.ChunkedArray]

_CODES = {"review": REVIEW, "decline": DECLINE}


@dataclass(frozen=True, slots=True)
class RuleReason:
    """A rule that decided: its code, the first field it reads, and a value if that is a number."""

    code: str
    field: str
    value: float | None

    def as_json(self) -> dict[str, str | float | None]:
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
    """A decision code per row, and the rules that made it; no reasons where none holds."""

    decision: NDArray[np.int8]
    reasons: list[list[RuleReason]]


class RuleTier:
    """Some of the rules of `settings.fallback`: all of them, or those that stand beside a model."""

    def __init__(self, settings: FallbackSettings, *, with_model: bool = False) -> None:
        self._version = settings.version
        self._rules = [rule for rule in settings.rules if rule.with_model or not with_model]

    @property
    def version(self) -> str:
        """Stands in decisions where a model's and a policy's version would."""
        return self._version

    def __bool__(self) -> bool:
        """Whether there is any rule."""
        return bool(self._rules)

    def decide(self, columns: Columns, size: int) -> Ruled:
        """Decide `size` events, given the columns of TRANSACTION_SCHEMA that rules may read.

        A column that is not given counts as missing throughout.
        """
        held = [(rule, _holds(rule, columns, size)) for rule in self._rules]
        decision = np.zeros(size, dtype=np.int8)
        for rule, holds in held:
            np.maximum(decision, np.where(holds, _CODES[rule.decision], 0), out=decision)
        return Ruled(decision, _reasons(held, decision, columns))


def _holds(rule: RuleSettings, columns: Columns, size: int) -> NDArray[np.bool_]:
    holds = np.ones(size, dtype=np.bool_)
    for condition in rule.when:
        if condition.field not in columns:
            return np.zeros(size, dtype=np.bool_)
        for met in _met(condition, columns[condition.field]):
            holds &= pc.fill_null(met, False).to_numpy(zero_copy_only=False)
    return holds


def _met(condition: ConditionSettings, column: pa.Array) -> list[pa.Array]:
    """One answer per part of a condition, null where the field is missing."""
    found = []
    if condition.at_least is not None:
        found.append(pc.greater_equal(column, condition.at_least))
    if condition.below is not None:
        found.append(pc.less(column, condition.below))
    if condition.one_of is not None:
        listed = pa.array(condition.one_of, pa.string())
        found.append(pc.is_in(column, listed, skip_nulls=True))
    if condition.none_of is not None:
        listed = pa.array(condition.none_of, pa.string())
        found.append(pc.and_(pc.is_valid(column), pc.invert(pc.is_in(column, listed))))
    return found


def _reasons(
    held: Sequence[tuple[RuleSettings, NDArray[np.bool_]]],
    decision: NDArray[np.int8],
    columns: Columns,
) -> list[list[RuleReason]]:
    reasons: list[list[RuleReason]] = [[] for _ in decision]
    for rule, holds in held:
        field = rule.when[0].field
        for row in np.flatnonzero(holds & (decision == _CODES[rule.decision])).tolist():
            value = columns[field][row].as_py()
            number = float(value) if isinstance(value, int | float) else None
            reasons[row].append(RuleReason(rule.code, field, number))
    return reasons
