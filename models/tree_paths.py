"""Tree ensembles walked by a kernel of our own: margins, and what each feature adds to them.

The libraries' predictors cost a millisecond per call before the first row, which a stream of small
batches pays all the time, and their path contributions rebuild a matrix per call. The kernel adds
the same leaves in the same order and precision, so its margins have the library's very bits; this
is checked whenever a model is made or loaded.

The contributions are Saabas' (2014, "Interpreting random forests"): a split adds to its feature the
change in the mean answer of the node. They are linear in depth, where Shapley values are quadratic.
Every row stands for itself, so its bits do not depend on its neighbours in a batch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import DTypeLike, NDArray

from contracts.errors import BundleError
from models.tree_nodes import LEAF, Floats, Tree

Places = NDArray[np.uint32]

BLOCK_ROWS = 64
PROBES = 256
"""Rows on which a loaded model must agree with its library."""
LARGEST = 1e300
"""LightGBM's infinity: it takes larger values for this one, and parts missing values here."""


@dataclass(frozen=True, slots=True)
class TreePaths:
    """All trees' nodes in one table, and where each tree starts and how deep it is.

    Where its value is below `threshold[i]`, or missing and `nan_left[i]`, a row takes node i's step
    2i, else its step 2i + 1: to the node `children[step]`, with the change `gain[step]` of the mean
    answer. A leaf leads to itself and changes nothing; its answer is `leaf`. `base` begins every
    margin; `precision` is that of the values as they are compared, and of the sum.
    """

    roots: Places
    depths: Places
    feature: Places
    threshold: Floats
    nan_left: NDArray[np.bool_]
    children: Places
    gain: Floats
    leaf: NDArray[Any]
    base: float
    precision: DTypeLike

    def margin(self, values: Floats) -> Floats:
        """Log-odds per row."""
        rows = self._compared(values)
        total = np.full(len(rows), self.base, dtype=self.precision)
        _sum_leaves(
            rows, self.roots, self.depths, self.feature, self.threshold, self.nan_left,
            self.children, self.leaf, total,
        )  # fmt: skip
        return total.astype(np.float64)

    def explained(self, values: Floats) -> tuple[Floats, Floats]:
        """Log-odds per row, and the share of each feature in them: rows x features."""
        rows = self._compared(values)
        total = np.full(len(rows), self.base, dtype=self.precision)
        found = np.zeros(values.shape)
        _sum_gains(
            rows, self.roots, self.depths, self.feature, self.threshold, self.nan_left,
            self.children, self.leaf, self.gain, total, found,
        )  # fmt: skip
        return total.astype(np.float64), found

    def _compared(self, values: Floats) -> Floats:
        return np.ascontiguousarray(values, dtype=self.precision).astype(np.float64, copy=False)

    def agreeing(self, native: Callable[[Floats], Floats], width: int) -> "TreePaths":
        """These paths, if they give a library's own margins, bit for bit, on probing rows.

        Raises:
            BundleError: they do not: the library's format means something else by now.
        """
        probes = self._probes(width)
        worst = float(np.abs(self.margin(probes) - native(probes)).max())
        if worst != 0.0:
            raise BundleError(
                "trees answer differently here than in their library",
                value=worst,
                remedy="Install the locked library versions",
            )
        return self

    def _probes(self, width: int) -> Floats:
        """Rows made of the thresholds themselves, their neighbours, zeros and missing values."""
        dice = np.random.default_rng(0)
        bounds = dice.choice(self.threshold, size=(PROBES, width))
        nudged = np.nextafter(bounds, dice.choice([-np.inf, np.inf], size=bounds.shape))
        kinds = dice.integers(0, 5, size=bounds.shape)
        drawn = np.select([kinds == 0, kinds == 1, kinds < 4], [np.nan, nudged, bounds], 0.0)
        within: Floats = np.clip(drawn, -LARGEST, LARGEST)
        return within


@njit(cache=True, error_model="numpy", inline="always")  # type: ignore[untyped-decorator]
def _step(
    value: float, node: np.uint32, threshold: Floats, nan_left: NDArray[np.bool_]
) -> np.uint64:
    # By arithmetic: a jump that nobody can predict costs more than what it saves.
    goes_right = np.uint64(not value < threshold[node]) & np.uint64(
        not ((value != value) & nan_left[node])
    )
    return np.uint64(2) * np.uint64(node) + goes_right


# Both walk tree by tree and level by level over a block of rows: a tree stays in the processor's
# nearest cache, every row takes as many steps, and the steps of several rows overlap. Unsigned
# places spare the test for a negative index.


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _sum_leaves(
    values: Floats,
    roots: Places,
    depths: Places,
    feature: Places,
    threshold: Floats,
    nan_left: NDArray[np.bool_],
    children: Places,
    leaf: NDArray[Any],
    total: NDArray[Any],
) -> None:
    flat, width = values.ravel(), values.shape[1]
    nodes = np.empty(BLOCK_ROWS, dtype=np.uint32)
    for start in range(0, len(values), BLOCK_ROWS):
        rows = min(BLOCK_ROWS, len(values) - start)
        for tree in range(len(roots)):
            nodes[:rows] = roots[tree]
            for _ in range(depths[tree]):
                for row in range(rows):
                    node = nodes[row]
                    at = np.uint64((start + row) * width) + np.uint64(feature[node])
                    nodes[row] = children[_step(flat[at], node, threshold, nan_left)]
            for row in range(rows):
                total[start + row] += leaf[nodes[row]]


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _sum_gains(
    values: Floats,
    roots: Places,
    depths: Places,
    feature: Places,
    threshold: Floats,
    nan_left: NDArray[np.bool_],
    children: Places,
    leaf: NDArray[Any],
    gain: Floats,
    total: NDArray[Any],
    found: Floats,
) -> None:
    flat, width, out = values.ravel(), values.shape[1], found.ravel()
    nodes = np.empty(BLOCK_ROWS, dtype=np.uint32)
    for start in range(0, len(values), BLOCK_ROWS):
        rows = min(BLOCK_ROWS, len(values) - start)
        for tree in range(len(roots)):
            nodes[:rows] = roots[tree]
            for _ in range(depths[tree]):
                for row in range(rows):
                    node = nodes[row]
                    at = np.uint64((start + row) * width) + np.uint64(feature[node])
                    step = _step(flat[at], node, threshold, nan_left)
                    out[at] += gain[step]
                    nodes[row] = children[step]
            for row in range(rows):
                total[start + row] += leaf[nodes[row]]


def load_kernels() -> None:
    """Compile the walks, or load them: seconds on the first run, then as long as a file read."""
    leaf = Tree(*(np.full(1, LEAF, dtype=kind) for kind in "ifii?fff"))
    for precision in (np.float32, np.float64):
        stump = joined([leaf], 0.0, precision)
        stump.margin(np.zeros((1, 1)))
        stump.explained(np.zeros((1, 1)))


def joined(trees: Sequence[Tree], base: float, precision: DTypeLike) -> TreePaths:
    """The paths of an ensemble: every margin begins at `base` and is summed in `precision`."""
    starts = np.cumsum([0, *(len(tree.feature) for tree in trees)])
    steps = [tree.steps() for tree in trees]
    children = [to + at for (to, _), at in zip(steps, starts, strict=False)]
    return TreePaths(
        roots=starts[:-1].astype(np.uint32),
        depths=np.asarray([tree.depth() for tree in trees], dtype=np.uint32),
        feature=np.concatenate([np.maximum(tree.feature, 0) for tree in trees]).astype(np.uint32),
        threshold=np.concatenate([tree.threshold for tree in trees]).astype(np.float64),
        nan_left=np.concatenate([tree.nan_left for tree in trees]).astype(np.bool_),
        children=np.concatenate(children).astype(np.uint32),
        gain=np.concatenate([gain for _, gain in steps]).astype(np.float64),
        leaf=np.concatenate([tree.leaf for tree in trees]).astype(precision),
        base=base,
        precision=precision,
    )
