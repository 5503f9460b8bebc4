"""Rows of several partitions in one table: those of a partition stand together."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Span:
    """Rows `start` to before `stop` are those of one partition."""

    partition: int
    start: int
    stop: int

    @property
    def rows(self) -> slice:
        """The rows as a slice."""
        return slice(self.start, self.stop)


def spans_of(partitions: NDArray[np.integer[Any]]) -> list[Span]:
    """The spans of a column of partition numbers, in order.

    Raises:
        ValueError: a partition's rows do not stand together.
    """
    size = len(partitions)
    if size == 0:
        return []
    if np.count_nonzero(partitions == partitions[0]) == size:
        return [Span(int(partitions[0]), 0, size)]
    edges = [0, *((partitions[1:] != partitions[:-1]).nonzero()[0] + 1).tolist(), size]
    numbers = partitions[edges[:-1]].tolist()
    spans = [Span(*place) for place in zip(numbers, edges[:-1], edges[1:], strict=True)]
    if len({span.partition for span in spans}) < len(spans):
        raise ValueError("rows of one partition do not stand together")
    return spans
