"""The trees of XGBoost and LightGBM models as plain arrays, read from the libraries' own files."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import lightgbm
    import xgboost

Floats = NDArray[np.float64]

LEAF = -1


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree: parallel arrays, children by position within the tree, the root first.

    `feature` is `LEAF` at a leaf. A row goes left where its value is below `threshold`, or missing
    and `nan_left`. `mean` is each node's mean answer over what the learner saw, `cover` how much of
    that came to the node, `leaf` the answer at a leaf and 0 elsewhere.
    """

    feature: NDArray[np.int32]
    threshold: Floats
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    nan_left: NDArray[np.bool_]
    mean: Floats
    cover: Floats
    leaf: Floats

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


def trees_of_xgboost(booster: "xgboost.Booster") -> tuple[list[Tree], float]:
    """All trees, and the margin that every row begins with (log-odds, single precision)."""
    model = json.loads(bytes(booster.save_raw("json")))["learner"]
    trees = model["gradient_booster"]["model"]["trees"]
    score = np.float32(str(model["learner_model_param"]["base_score"]).strip("[]"))
    base = -np.log(np.float32(1.0) / score - np.float32(1.0))
    return [_xgboost_tree(tree) for tree in trees], float(base)


def trees_of_lightgbm(booster: "lightgbm.Booster") -> list[Tree]:
    """All trees; a missing value of a feature that never missed one counts as 0."""
    trees = booster.dump_model()["tree_info"]
    return [_lightgbm_tree(tree["tree_structure"]) for tree in trees]


def _xgboost_tree(tree: Mapping[str, Any]) -> Tree:
    left = np.asarray(tree["left_children"], dtype=np.int32)
    right = np.asarray(tree["right_children"], dtype=np.int32)
    is_leaf = left == LEAF
    value = np.asarray(tree["split_conditions"], dtype=np.float32).astype(np.float64)
    leaf = np.where(is_leaf, value, 0.0)
    cover = np.asarray(tree["sum_hessian"], dtype=np.float64)
    return Tree(
        feature=np.where(is_leaf, LEAF, tree["split_indices"]).astype(np.int32),
        threshold=np.where(is_leaf, 0.0, value),
        left=left,
        right=right,
        nan_left=np.asarray(tree["default_left"]) != 0,
        mean=_means(left, right, leaf, cover),
        cover=cover,
        leaf=leaf,
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


def _lightgbm_tree(root: Mapping[str, Any]) -> Tree:
    nodes = list(_below(root))
    position = {id(node): at for at, node in enumerate(nodes)}
    inner = ["split_index" in node for node in nodes]

    def child(side: str) -> NDArray[np.int32]:
        found = [
            position[id(node[side])] if is_inner else LEAF
            for node, is_inner in zip(nodes, inner, strict=True)
        ]
        return np.asarray(found, dtype=np.int32)

    return Tree(
        feature=np.asarray([node.get("split_feature", LEAF) for node in nodes], dtype=np.int32),
        # LightGBM goes left at the threshold too.
        threshold=np.nextafter([node.get("threshold", 0.0) for node in nodes], np.inf),
        left=child("left_child"),
        right=child("right_child"),
        nan_left=np.asarray([_nan_goes_left(node) for node in nodes]),
        mean=np.asarray([_lightgbm_mean(node) for node in nodes], dtype=np.float64),
        cover=np.asarray([_lightgbm_cover(node) for node in nodes], dtype=np.float64),
        leaf=np.asarray([node.get("leaf_value", 0.0) for node in nodes], dtype=np.float64),
    )


def _below(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    if "split_index" in node:
        yield from _below(node["left_child"])
        yield from _below(node["right_child"])


def _nan_goes_left(node: Mapping[str, Any]) -> bool:
    if node.get("missing_type") == "None":  # LightGBM then reads a missing value as 0
        return bool(node["threshold"] >= 0.0)
    return bool(node.get("default_left", False))


def _lightgbm_mean(node: Mapping[str, Any]) -> float:
    return float(node["internal_value"] if "split_index" in node else node["leaf_value"])


def _lightgbm_cover(node: Mapping[str, Any]) -> float:
    return float(node["internal_count"] if "split_index" in node else node.get("leaf_count", 0))
