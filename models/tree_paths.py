"""What each feature adds to a tree ensemble's margin along the paths that a row takes.

The method is Saabas' (2014, "Interpreting random forests"): a split adds to its feature the change
in the mean answer of the node. It is linear in depth, where Shapley values are quadratic and
libraries' own path modes rebuild a matrix per call. Every row stands for itself, so its bits do not
depend on its neighbours in a batch.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xgboost
from numba import njit
from numpy.typing import NDArray

if TYPE_CHECKING:
    import lightgbm

Floats = NDArray[np.float64]

LEAF = -1
BLOCK_ROWS = 64
NAN_GOES_RIGHT, NAN_GOES_LEFT, NAN_IS_ZERO = 0, 1, 2


@dataclass(frozen=True, slots=True)
class TreePaths:
    """All trees' nodes in one table, and where each tree starts and how deep it is.

    Where its value is below `threshold[i]`, a row takes node i's step 2i, else its step 2i + 1: to
    the node `children[step]`, with the change `gain[step]` of the mean answer. A leaf leads to
    itself and changes nothing.
    """

    roots: NDArray[np.int32]
    depths: NDArray[np.int32]
    feature: NDArray[np.int32]
    threshold: Floats
    missing: NDArray[np.int8]
    children: NDArray[np.int32]
    gain: Floats

    def contributions(self, values: Floats) -> Floats:
        """Share of each feature in the margin: rows x features."""
        found = np.zeros(values.shape)
        _walk(
            np.ascontiguousarray(values, dtype=np.float64), self.roots, self.depths, self.feature,
            self.threshold, self.missing, self.children, self.gain, found,
        )  # fmt: skip
        return found


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _walk(
    values: Floats,
    roots: NDArray[np.int32],
    depths: NDArray[np.int32],
    feature: NDArray[np.int32],
    threshold: Floats,
    missing: NDArray[np.int8],
    children: NDArray[np.int32],
    gain: Floats,
    found: Floats,
) -> None:
    # Tree by tree over a block of rows, so that a tree stays in the processor's nearest cache; a
    # child is chosen by arithmetic and every row takes as many steps, so that nothing is guessed
    # wrong and the steps of several rows overlap.
    for start in range(0, len(values), BLOCK_ROWS):
        for tree in range(len(roots)):
            for row in range(start, min(start + BLOCK_ROWS, len(values))):
                node = roots[tree]
                for _ in range(depths[tree]):
                    column = feature[node]
                    value = values[row, column]
                    rule = missing[node]
                    is_nan = value != value
                    goes_right = (value >= threshold[node]) | (is_nan & (rule == NAN_GOES_RIGHT))
                    goes_right |= is_nan & (rule == NAN_IS_ZERO) & (threshold[node] <= 0.0)
                    step = 2 * node + goes_right
                    found[row, column] += gain[step]
                    node = children[step]


def load_kernel() -> None:
    """Compile the walk, or load it: seconds on the first run, then as long as a file read."""
    none = np.zeros((0, 1))
    nodes, leads = np.zeros(1, dtype=np.int32), np.zeros(2, dtype=np.int32)
    missing = np.zeros(1, dtype=np.int8)
    TreePaths(nodes, nodes, nodes, none[:, 0], missing, leads, none[:, 0]).contributions(none)


def paths_of_xgboost(booster: xgboost.Booster) -> TreePaths:
    """The paths of XGBoost's trees; it compares in single precision, and so do these thresholds.

    Rows must be rounded to float32 first, as XGBoost does itself.
    """
    model = json.loads(bytes(booster.save_raw("json")))
    trees = model["learner"]["gradient_booster"]["model"]["trees"]
    return _joined([_xgboost_tree(tree) for tree in trees])


def paths_of_lightgbm(booster: "lightgbm.Booster") -> TreePaths:
    """The paths of LightGBM's trees, whose sum is its raw score for a forest too."""
    trees = booster.dump_model()["tree_info"]
    return _joined([_lightgbm_tree(tree["tree_structure"]) for tree in trees])


@dataclass(frozen=True, slots=True)
class _Tree:
    """One tree: parallel arrays, children by position within the tree, the root first."""

    feature: NDArray[np.int32]
    threshold: Floats
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    missing: NDArray[np.int8]
    mean: Floats

    def depth(self) -> int:
        """Steps to the deepest leaf; a child stands after its parent."""
        depth = np.zeros(len(self.feature), dtype=np.int32)
        for node in np.flatnonzero(self.feature != LEAF):
            depth[[self.left[node], self.right[node]]] = depth[node] + 1
        return int(depth.max())

    def steps(self) -> tuple[NDArray[np.int32], Floats]:
        """Where each node's two steps lead, and the change of the mean; a leaf leads to itself."""
        is_leaf = (self.feature == LEAF)[:, None]
        own = np.arange(len(self.feature), dtype=np.int32)[:, None]
        children = np.where(is_leaf, own, np.column_stack([self.left, self.right]))
        return children.ravel(), (self.mean[children] - self.mean[own]).ravel()


def _joined(trees: Sequence[_Tree]) -> TreePaths:
    starts = np.cumsum([0, *(len(tree.feature) for tree in trees)]).astype(np.int32)
    steps = [tree.steps() for tree in trees]
    return TreePaths(
        roots=starts[:-1],
        depths=np.asarray([tree.depth() for tree in trees], dtype=np.int32),
        feature=np.maximum(np.concatenate([tree.feature for tree in trees]), 0),
        threshold=np.concatenate([tree.threshold for tree in trees]),
        missing=np.concatenate([tree.missing for tree in trees]),
        children=np.concatenate([to + at for (to, _), at in zip(steps, starts, strict=False)]),
        gain=np.concatenate([gain for _, gain in steps]),
    )


def _xgboost_tree(tree: Mapping[str, Any]) -> _Tree:
    left = np.asarray(tree["left_children"], dtype=np.int32)
    right = np.asarray(tree["right_children"], dtype=np.int32)
    is_leaf = left == -1
    value = np.asarray(tree["split_conditions"], dtype=np.float32).astype(np.float64)
    cover = np.asarray(tree["sum_hessian"], dtype=np.float64)
    default_left = np.asarray(tree["default_left"], dtype=np.int8)
    return _Tree(
        feature=np.where(is_leaf, LEAF, tree["split_indices"]).astype(np.int32),
        threshold=np.where(is_leaf, 0.0, value),
        left=left,
        right=right,
        missing=np.where(default_left != 0, NAN_GOES_LEFT, NAN_GOES_RIGHT).astype(np.int8),
        mean=_means(left, right, np.where(is_leaf, value, 0.0), cover),
    )


def _means(
    left: NDArray[np.int32], right: NDArray[np.int32], leaf_value: Floats, cover: Floats
) -> Floats:
    """Mean of the leaves below each node, weighted by cover; a child stands after its parent."""
    mean = leaf_value.copy()
    for node in range(len(left) - 1, -1, -1):
        if left[node] != -1:
            a, b = left[node], right[node]
            mean[node] = (mean[a] * cover[a] + mean[b] * cover[b]) / (cover[a] + cover[b])
    return mean


def _lightgbm_tree(root: Mapping[str, Any]) -> _Tree:
    nodes = list(_below(root))
    position = {id(node): at for at, node in enumerate(nodes)}
    inner = ["split_index" in node for node in nodes]

    def child(side: str) -> NDArray[np.int32]:
        found = [
            position[id(node[side])] if is_inner else LEAF
            for node, is_inner in zip(nodes, inner, strict=True)
        ]
        return np.asarray(found, dtype=np.int32)

    return _Tree(
        feature=np.asarray([node.get("split_feature", LEAF) for node in nodes], dtype=np.int32),
        # LightGBM goes left at the threshold too.
        threshold=np.nextafter([node.get("threshold", 0.0) for node in nodes], np.inf),
        left=child("left_child"),
        right=child("right_child"),
        missing=np.asarray([_missing(node) for node in nodes], dtype=np.int8),
        mean=np.asarray([_lightgbm_mean(node) for node in nodes], dtype=np.float64),
    )


def _below(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    if "split_index" in node:
        yield from _below(node["left_child"])
        yield from _below(node["right_child"])


def _missing(node: Mapping[str, Any]) -> int:
    if node.get("missing_type", "NaN") != "NaN":
        return NAN_IS_ZERO
    return NAN_GOES_LEFT if node.get("default_left", False) else NAN_GOES_RIGHT


def _lightgbm_mean(node: Mapping[str, Any]) -> float:
    return float(node["internal_value"] if "split_index" in node else node["leaf_value"])
