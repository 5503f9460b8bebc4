"""Exact Shapley values of tree ensembles (path-dependent TreeSHAP), by a kernel of our own.

A feature's Shapley value in one leaf is an integral (Owen 1972, "Multilinear extensions of games"):
over t from 0 to 1, of the leaf's answer times what the feature adds times the product of the other
features' `z (1 - t) + o t`. There z is the share of the training rows that a feature's splits on
the path let through, and o whether they let this row through (Lundberg et al. 2020, "From local
explanations to global understanding with explainable AI for trees"). The integrand is a polynomial
of a degree below the tree's depth, so a Gauss-Legendre rule of half as many points is exact. At
each point one walk down multiplies and one walk up adds, where the libraries extend and unwind each
path.

Every row stands for itself, so its bits do not depend on its neighbours in a batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import DTypeLike, NDArray

from models.tree_nodes import LEAF, Floats, Tree

Places = NDArray[np.int32]

ROOT = -1
TINY = 1e-12
"""A path that no training row took has this share, not none: nothing is divided by zero."""


@dataclass(frozen=True, slots=True)
class ShapTables:
    """All trees' nodes one after the other, those of tree i from starts[i] to starts[i + 1].

    `parent` and `ancestor` are positions within the tree: the node above, and the nearest one on
    the way that stands behind a split on the same feature, or `ROOT`. `z` is the share of the
    training rows that all splits of that feature on the way to the node let through.
    """

    starts: Places
    parent: Places
    ancestor: Places
    is_right: NDArray[np.bool_]
    feature: Places
    threshold: Floats
    nan_left: NDArray[np.bool_]
    leaf: Floats
    z: Floats
    points: Floats
    weights: Floats
    precision: DTypeLike

    def contributions(self, values: Floats) -> Floats:
        """Share of each feature in the margin: rows x features."""
        found = np.zeros(values.shape)
        compared = np.ascontiguousarray(values, dtype=self.precision).astype(np.float64)
        _add_shares(
            compared, self.starts, self.parent, self.ancestor, self.is_right, self.feature,
            self.threshold, self.nan_left, self.leaf, self.z, self.points, self.weights, found,
        )  # fmt: skip
        return found


def shap_tables(trees: Sequence[Tree], precision: DTypeLike) -> ShapTables:
    """The tables of an ensemble; `precision` is that of the values as they are compared."""
    parent, is_right, ancestor, z = (
        np.concatenate(columns) for columns in zip(*map(_ways, trees), strict=True)
    )
    points, weights = np.polynomial.legendre.leggauss(_points(trees))
    return ShapTables(
        starts=np.cumsum([0, *(len(tree.feature) for tree in trees)]).astype(np.int32),
        parent=parent,
        ancestor=ancestor,
        is_right=is_right,
        feature=np.concatenate([tree.feature for tree in trees]).astype(np.int32),
        threshold=np.concatenate([tree.threshold for tree in trees]).astype(np.float64),
        nan_left=np.concatenate([tree.nan_left for tree in trees]).astype(np.bool_),
        leaf=np.concatenate([tree.leaf for tree in trees]).astype(np.float64),
        z=z,
        points=(points + 1.0) / 2.0,
        weights=weights / 2.0,
        precision=precision,
    )


def _points(trees: Sequence[Tree]) -> int:
    """Enough for a polynomial of a degree below the depth of the deepest tree."""
    return max(1, *((tree.depth() + 1) // 2 for tree in trees))


def _ways(tree: Tree) -> tuple[Places, NDArray[np.bool_], Places, Floats]:
    """Each node's parent, whether it is the right child, its ancestor, and its `z`."""
    split, left, right = tree.feature.tolist(), tree.left.tolist(), tree.right.tolist()
    cover, size = np.maximum(tree.cover, TINY).tolist(), len(tree.feature)
    parent, ancestor, is_right, z = [ROOT] * size, [ROOT] * size, [False] * size, [1.0] * size
    for node in range(size):  # a child stands after its parent
        if split[node] == LEAF:
            continue
        same = node
        while same > 0 and split[parent[same]] != split[node]:
            same = parent[same]
        for child in (left[node], right[node]):
            parent[child], ancestor[child] = node, same or ROOT
            is_right[child] = child == right[node]
            z[child] = z[same] * cover[child] / cover[node]
    return (
        np.array(parent, dtype=np.int32),
        np.array(is_right),
        np.array(ancestor, dtype=np.int32),
        np.array(z),
    )


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _add_shares(
    values: Floats,
    starts: Places,
    parent: Places,
    ancestor: Places,
    is_right: NDArray[np.bool_],
    feature: Places,
    threshold: Floats,
    nan_left: NDArray[np.bool_],
    leaf: Floats,
    z: Floats,
    points: Floats,
    weights: Floats,
    found: Floats,
) -> None:
    most = np.diff(starts).max()
    product, below = np.ones((most, len(points))), np.zeros((most, len(points)))
    goes_right, let = np.zeros(most, np.bool_), np.zeros(most, np.float64)
    for tree in range(len(starts) - 1):
        first, size = starts[tree], starts[tree + 1] - starts[tree]
        for row in range(len(values)):
            for i in range(size):  # down: products of the features on the way
                node = first + i
                split, above, same = feature[node], parent[node], ancestor[node]
                if split != LEAF:
                    value = values[row, split]
                    is_left = nan_left[node] if value != value else value < threshold[node]
                    goes_right[i] = not is_left
                if above != ROOT:
                    let[i] = goes_right[above] == is_right[node]
                    if same != ROOT:
                        let[i] *= let[same]
                    for q in range(len(points)):
                        t = points[q]
                        product[i, q] = product[above, q] * (z[node] * (1.0 - t) + let[i] * t)
                        if same != ROOT:
                            product[i, q] /= z[first + same] * (1.0 - t) + let[same] * t
                for q in range(len(points)):
                    below[i, q] = leaf[node] * product[i, q]
            for i in range(size - 1, 0, -1):  # up: sums of the leaves below, and each one's share
                node = first + i
                above, same, total = parent[node], ancestor[node], 0.0
                for q in range(len(points)):
                    t = points[q]
                    part = (let[i] - z[node]) / (z[node] * (1.0 - t) + let[i] * t)
                    if same != ROOT:
                        less = let[same] - z[first + same]
                        part -= less / (z[first + same] * (1.0 - t) + let[same] * t)
                    total += weights[q] * below[i, q] * part
                    below[above, q] += below[i, q]
                found[row, feature[first + above]] += total


def load_kernel() -> None:
    """Compile the walk, or load it: seconds on the first run, then as long as a file read."""
    stump = Tree(*(np.full(1, LEAF, dtype=kind) for kind in "ifii?fff"))
    shap_tables([stump], np.float64).contributions(np.zeros((1, 1)))
