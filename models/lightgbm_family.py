"""LightGBM's boosted trees, kept as LightGBM's own text."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from models.preprocess import Floats, Preprocess
from models.tree_nodes import trees_of_lightgbm
from models.tree_paths import joined
from models.tree_shap import shap_tables

if TYPE_CHECKING:
    import lightgbm

SCORING_THREADS = 1
MODEL_FILE = "model.txt"

BOOSTED: Mapping[str, Any] = {
    "objective": "binary",
    "metric": "average_precision",
    "learning_rate": 0.1,
    "num_leaves": 31,
    "max_bin": 511,
    "min_data_in_leaf": 20,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 2.0,
    "rounds": 200,
    "patience": 25,
}


class LightgbmPredictor:
    """Trees, boosted or a forest."""

    def __init__(self, booster: "lightgbm.Booster", prepare: Preprocess | None) -> None:
        self._booster = booster
        self._prepare = prepare
        trees = trees_of_lightgbm(booster)
        paths = joined(trees, 0.0, np.float64)
        self._shap = shap_tables(trees, np.float64)
        self._paths = paths.agreeing(self._native_margin, booster.num_feature())

    def _native_margin(self, prepared: Floats) -> Floats:
        raw = self._booster.predict(prepared, raw_score=True, num_threads=SCORING_THREADS)
        return np.asarray(raw, dtype=np.float64)

    def margin(self, values: Floats) -> Floats:
        """Log-odds, LightGBM's own to the bit."""
        return self._paths.margin(self._prepared(values))

    def explained(self, values: Floats) -> tuple[Floats, Floats]:
        """Along the decision paths."""
        return self._paths.explained(self._prepared(values))

    def exact_contributions(self, values: Floats) -> Floats:
        """TreeSHAP."""
        return self._shap.contributions(self._prepared(values))

    def _prepared(self, values: Floats) -> Floats:
        return values if self._prepare is None else self._prepare.apply(values)

    def save(self, folder: Path) -> None:
        """LightGBM's text format."""
        from models.predictors import write_header

        self._booster.save_model(str(folder / MODEL_FILE))
        write_header(folder, "lightgbm", self._prepare)

    @classmethod
    def load(cls, folder: Path, prepare: Preprocess | None) -> "LightgbmPredictor":
        """From the files that `save` wrote."""
        import lightgbm

        return cls(lightgbm.Booster(model_str=(folder / MODEL_FILE).read_text()), prepare)
