"""scikit-learn's random forest, kept as XGBoost's own file: the same trees, without a pickle.

A forest's probability is the mean of its trees' leaf shares, which is what a sum of trees with
leaves divided by their number gives. The file is read, scored and explained by XGBoost.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from models.preprocess import Floats, Preprocess

if TYPE_CHECKING:
    import xgboost
    from sklearn.ensemble import RandomForestClassifier

MODEL_FILE = "forest.ubj"
SCORING_THREADS = 1
FLOOR = 1e-6
_ROOT_PARENT = 2**31 - 1


class ForestPredictor:
    """Mean vote of the trees as log-odds; contributions are shares of that vote, rescaled."""

    def __init__(self, booster: "xgboost.Booster", prepare: Preprocess | None) -> None:
        booster.set_param({"nthread": SCORING_THREADS})
        self._booster = booster
        self._prepare = prepare

    def margin(self, values: Floats) -> Floats:
        """Log-odds of the mean vote."""
        prepared = np.ascontiguousarray(self._prepared(values), dtype=np.float32)
        vote = self._booster.inplace_predict(
            prepared, predict_type="margin", missing=np.nan, validate_features=False
        )
        return _log_odds(np.asarray(vote, dtype=np.float64))

    def explained(self, values: Floats) -> tuple[Floats, Floats]:
        """Along the decision path (Saabas)."""
        return self.margin(values), self._contributions(values, approximate=True)

    def exact_contributions(self, values: Floats) -> Floats:
        """TreeSHAP of the vote; the step to log-odds is shared in proportion."""
        return self._contributions(values, approximate=False)

    def _contributions(self, values: Floats, *, approximate: bool) -> Floats:
        import xgboost

        matrix = xgboost.DMatrix(self._prepared(values), nthread=SCORING_THREADS)
        found = self._booster.predict(matrix, pred_contribs=True, approx_contribs=approximate)
        shares = np.asarray(found, dtype=np.float64)
        return shares[:, :-1] * _slope(shares.sum(axis=1), shares[:, -1])[:, None]

    def _prepared(self, values: Floats) -> Floats:
        return values if self._prepare is None else self._prepare.apply(values)

    def save(self, folder: Path) -> None:
        """UBJSON, XGBoost's own format."""
        from models.predictors import write_header

        self._booster.save_model(str(folder / MODEL_FILE))
        write_header(folder, "random_forest", self._prepare)

    @classmethod
    def load(cls, folder: Path, prepare: Preprocess | None) -> "ForestPredictor":
        """From the files that `save` wrote."""
        import xgboost

        booster = xgboost.Booster()
        booster.load_model(bytearray((folder / MODEL_FILE).read_bytes()))
        return cls(booster, prepare)


def _log_odds(vote: Floats) -> Floats:
    clipped = np.clip(vote, FLOOR, 1.0 - FLOOR)
    odds: Floats = np.log(clipped) - np.log1p(-clipped)
    return odds


def _slope(vote: Floats, average: Floats) -> Floats:
    """Log-odds gained per unit of vote between the average and this row's."""
    step = vote - average
    tangent = 1.0 / np.clip(vote * (1.0 - vote), FLOOR, None)
    gained = _log_odds(vote) - _log_odds(average)
    return np.divide(gained, step, out=tangent, where=np.abs(step) > FLOOR)


def booster_of(forest: "RandomForestClassifier") -> "xgboost.Booster":
    """The forest's trees as a booster whose plain sum is the probability of fraud."""
    import xgboost

    count, features = len(forest.estimators_), int(forest.n_features_in_)
    trees = [_tree(one.tree_, number, count) for number, one in enumerate(forest.estimators_)]
    booster = xgboost.Booster()
    booster.load_model(bytearray(json.dumps(_document(trees, features)).encode()))
    return booster


def _tree(tree: Any, number: int, count: int) -> dict[str, Any]:
    """One tree in XGBoost's schema; `value` holds class shares, of which the second is fraud's."""
    order, left, right, parents = _siblings_together(tree.children_left, tree.children_right)
    is_leaf = left < 0
    vote = (tree.value[order, 0, 1] / count).astype(np.float32)
    nodes = len(order)
    return {
        "id": number,
        "left_children": left.tolist(),
        "right_children": right.tolist(),
        "parents": parents.tolist(),
        "split_indices": np.where(is_leaf, 0, tree.feature[order]).tolist(),
        "split_conditions": np.where(is_leaf, vote, _below(tree.threshold[order])).tolist(),
        "default_left": np.where(is_leaf, 0, tree.missing_go_to_left[order]).astype(int).tolist(),
        "base_weights": vote.tolist(),
        "sum_hessian": tree.weighted_n_node_samples[order].tolist(),
        "loss_changes": [0.0] * nodes,
        "split_type": [0] * nodes,
        **{f"categories{part}": [] for part in ("", "_nodes", "_segments", "_sizes")},
        "tree_param": _texts(num_deleted=0, num_feature=0, num_nodes=nodes, size_leaf_vector=1),
    }


def _siblings_together(
    left: NDArray[np.int64], right: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Old number of each node, level by level, with its children's and its parent's new numbers.

    XGBoost takes the right child to stand beside the left one.
    """
    order, new_left, parents = [0], [], [_ROOT_PARENT]
    for number, old in enumerate(order):  # grows while it is walked
        is_inner = left[old] >= 0
        new_left.append(len(order) if is_inner else -1)
        if is_inner:
            order += [int(left[old]), int(right[old])]
            parents += [number, number]
    lefts = np.array(new_left, dtype=np.int64)
    return np.array(order), lefts, np.where(lefts < 0, -1, lefts + 1), np.array(parents)


def _below(threshold: Floats) -> NDArray[np.float32]:
    """x <= t in scikit-learn is x < the next float32 above t in XGBoost.

    A split that only parts missing values from others has an infinite threshold.
    """
    largest = np.float32(3e38)
    finite = np.clip(threshold, -largest, largest)
    single = finite.astype(np.float32)
    floor = np.where(single > finite, np.nextafter(single, np.float32(-np.inf)), single)
    above: NDArray[np.float32] = np.nextafter(floor.astype(np.float32), np.float32(np.inf))
    return np.minimum(above, largest)


def _document(trees: list[dict[str, Any]], features: int) -> dict[str, Any]:
    """XGBoost's JSON schema of version 3 around the trees."""
    count = len(trees)
    for tree in trees:
        tree["tree_param"]["num_feature"] = str(features)
    model = {
        "gbtree_model_param": _texts(num_parallel_tree=1, num_trees=count),
        "iteration_indptr": list(range(count + 1)),
        "tree_info": [0] * count,
        "trees": trees,
        "cats": {"enc": [], "feature_segments": [], "sorted_idx": []},
    }
    learner = {
        "attributes": {},
        "feature_names": [],
        "feature_types": [],
        "gradient_booster": {"model": model, "name": "gbtree"},
        "learner_model_param": _texts(
            base_score="0E0", boost_from_average=0, num_class=0, num_feature=features, num_target=1
        ),
        "objective": {"name": "reg:squarederror", "reg_loss_param": _texts(scale_pos_weight=1)},
    }
    return {"learner": learner, "version": [3, 2, 0]}


def _texts(**values: object) -> dict[str, str]:
    return {name: str(value) for name, value in values.items()}
