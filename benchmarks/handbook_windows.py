"""Trailing windows over an entity's own past, exact and vectorised, for the Handbook's table.

A window `(t - w, t]` of a row holds the rows of its entity at or before it in table order, as
pandas' rolling windows do, so rows of one second count in the order of the table.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
DAY = 86_400


@dataclass(frozen=True, slots=True)
class History:
    """Rows grouped by entity in time order; `back` leads from there to table order."""

    order: NDArray[np.int64]
    back: NDArray[np.int64]
    key: NDArray[np.int64]
    first: NDArray[np.int64]
    stride: int

    def take(self, column: NDArray[np.float64]) -> Floats:
        """A column in grouped order."""
        return column[self.order]

    def restore(self, column: Floats) -> Floats:
        """A grouped column in table order."""
        return column[self.back]

    def start(self, seconds: int) -> NDArray[np.int64]:
        """Grouped position of the first row after `t - seconds`, never another entity's."""
        after = np.searchsorted(self.key, self.key - seconds, side="right")
        return np.maximum(after, self.first)

    def totals(self, column: Floats, seconds: int) -> Floats:
        """Sum over `(t - seconds, t]`, grouped order."""
        cumulated = np.concatenate([[0.0], np.cumsum(column)])
        position = np.arange(1, len(column) + 1)
        total: Floats = cumulated[position] - cumulated[self.start(seconds)]
        return total

    def before(self, column: Floats, delay: int) -> Floats:
        """Sum over everything of the entity at or before `t - delay`, grouped order."""
        cumulated = np.concatenate([[0.0], np.cumsum(column)])
        total: Floats = cumulated[self.start(delay)] - cumulated[self.first]
        return total


def history(entity: NDArray[np.int64], seconds: NDArray[np.int64]) -> History:
    """Group rows that are in time order."""
    order = np.argsort(entity, kind="stable")
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    stride = int(seconds.max()) + 400 * DAY
    key = entity[order] * stride + seconds[order]
    starts = np.flatnonzero(np.diff(entity[order], prepend=-1))
    lengths = np.diff(np.append(starts, len(order)))
    return History(order, back, key, np.repeat(starts, lengths), stride)
