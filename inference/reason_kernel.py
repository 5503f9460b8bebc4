"""The features that push a score up the most, picked by a kernel: whole columns in, columns out."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]

REASONS = 3
"""Of a row at most. Their numbers are contribution and value of each, NaN where there is none."""
NONE = -1
CONTRIBUTION_UNITS = 10_000.0
"""Contributions are rounded to the nearest of these parts of one."""

part = njit(cache=True, forceinline=True)


@part  # type: ignore[untyped-decorator]
def pick(
    contributions: Floats, groups: NDArray[np.int32], row: int, found: NDArray[np.int32]
) -> None:
    """Fill a row with the columns of its largest positive values, one per group."""
    for rank in range(found.shape[1]):
        best, most = NONE, 0.0
        for column in range(contributions.shape[1]):
            if contributions[row, column] <= most:
                continue
            is_taken = False
            for earlier in range(rank):
                is_taken |= groups[found[row, earlier]] == groups[column]
            if not is_taken:
                best, most = column, contributions[row, column]
        if best == NONE:
            break
        found[row, rank] = best


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def strongest(
    contributions: Floats, groups: NDArray[np.int32], values: Floats
) -> tuple[NDArray[np.int32], Floats]:
    """Columns of the REASONS largest positive values per row, one per group, and their numbers.

    Largest first; of equal ones the first column; NONE after them. Numbers are the contribution,
    rounded, and the feature's value of each; NaN where none is picked.
    """
    columns = np.full((len(contributions), REASONS), NONE, dtype=np.int32)
    numbers = np.full((len(contributions), 2 * REASONS), np.nan)
    for row in range(len(contributions)):
        pick(contributions, groups, row, columns)
        for rank in range(REASONS):
            column = columns[row, rank]
            if column != NONE:
                units = np.rint(contributions[row, column] * CONTRIBUTION_UNITS)
                numbers[row, 2 * rank] = units / CONTRIBUTION_UNITS
                numbers[row, 2 * rank + 1] = values[row, column]
    return columns, numbers
