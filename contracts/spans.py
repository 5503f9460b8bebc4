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
    edges = (np.flatnonzero(partitions[1:] != partitions[:-1]) + 1).tolist()
    places = zip([0, *edges], [*edges, len(partitions)], strict=True)
    spans = [Span(int(partitions[start]), start, stop) for start, stop in places if stop > start]
    if len({span.partition for span in spans}) < len(spans):
        raise ValueError("rows of one partition do not stand together")
    return spans
