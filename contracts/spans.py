"""Rows of several partitions in one table: those of a partition stand together."""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Span(NamedTuple):
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
    edges = [-1, *(partitions[1:] != partitions[:-1]).nonzero()[0].tolist(), size - 1]
    spans = [Span(int(partitions[last]), before + 1, last + 1) for before, last in pairwise(edges)]
    if len({span.partition for span in spans}) < len(spans):
        raise ValueError("rows of one partition do not stand together")
    return spans
