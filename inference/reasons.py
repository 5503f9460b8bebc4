"""Reasons of a score: the features that push it up the most, one per reason code."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from features.definition import FeatureSet
from inference.reason_codes import reason_codes

Method = Literal["path", "tree_shap"]
REASONS = 3
CANDIDATES = 6
CONTRIBUTION_DIGITS = 4


@dataclass(frozen=True, slots=True)
class ReasonMap:
    """Names and codes of features by their position in the vector."""

    names: tuple[str, ...]
    codes: tuple[str, ...]

    @classmethod
    def of(cls, feature_set: FeatureSet) -> "ReasonMap":
        """The map of a feature set."""
        return cls(feature_set.names, reason_codes(feature_set))


def top_reasons(
    values: NDArray[np.float64],
    contributions: NDArray[np.float64],
    reason_map: ReasonMap,
    method: Method,
) -> list[list[dict[str, Any]]]:
    """Up to `REASONS` reasons per row as JSON-able mappings, the strongest first.

    Both arrays are [n, F]; contributions are to the log-odds. A feature that lowers the score is no
    reason; of features that share a code the strongest stands for all.
    """
    columns = strongest(contributions, min(CANDIDATES, contributions.shape[1]))
    rounded = np.round(np.take_along_axis(contributions, columns, axis=1), CONTRIBUTION_DIGITS)
    behind = np.take_along_axis(values, columns, axis=1)
    rows = zip(columns.tolist(), rounded.tolist(), behind.tolist(), strict=True)
    return [_row(*row, reason_map, method) for row in rows]


def exact_where(
    rows: NDArray[np.int64],
    values: NDArray[np.float64],
    cheap: list[list[dict[str, Any]]],
    contributions: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    reason_map: ReasonMap,
) -> list[list[dict[str, Any]]]:
    """The cheap reasons with those of `rows` replaced by exact ones, which cost far more a row."""
    if len(rows) == 0:
        return cheap
    chosen = values[rows]
    exact = top_reasons(chosen, contributions(chosen), reason_map, "tree_shap")
    for row, reasons in zip(rows.tolist(), exact, strict=True):
        cheap[row] = reasons
    return cheap


def strongest(contributions: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Positions of the `count` largest values per row, largest first; ties by position."""
    found = np.empty((len(contributions), count), dtype=np.int64)
    left = contributions.copy()
    rows = np.arange(len(left))
    for rank in range(count):
        found[:, rank] = left.argmax(axis=1)
        left[rows, found[:, rank]] = -np.inf
    return found


def _row(
    columns: Sequence[int],
    contributions: Sequence[float],
    values: Sequence[float],
    reason_map: ReasonMap,
    method: Method,
) -> list[dict[str, Any]]:
    reasons: dict[str, dict[str, Any]] = {}
    for column, contribution, value in zip(columns, contributions, values, strict=True):
        if contribution <= 0 or len(reasons) == REASONS:
            break
        code = reason_map.codes[column]
        if code not in reasons:
            reasons[code] = {
                "code": code,
                "contribution": contribution,
                "feature": reason_map.names[column],
                "value": value,
                "method": method,
            }
    return list(reasons.values())
