"""Fitted models behind one interface, each kept in its native format, never pickled."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from contracts.errors import BundleError
from models.forest_family import ForestPredictor
from models.lightgbm_family import LightgbmPredictor
from models.neural_family import NeuralPredictor
from models.preprocess import Floats, Preprocess, preprocess_from
from models.tree_nodes import trees_of_xgboost
from models.tree_paths import joined
from models.tree_shap import shap_tables

if TYPE_CHECKING:
    import xgboost

SCORING_THREADS = 1
PREDICTOR_FILE = "predictor.json"


class Predictor(Protocol):
    """A fitted model: margins (log-odds, uncalibrated) and what each feature adds to them."""

    def margin(self, values: Floats) -> Floats:
        """One log-odds score per row; values are raw features, NaN where missing."""
        ...

    def explained(self, values: Floats) -> tuple[Floats, Floats]:
        """Margins, and the share of each feature in them, cheap: rows x features."""
        ...

    def exact_contributions(self, values: Floats) -> Floats:
        """The same by exact Shapley values where the family has them."""
        ...

    def save(self, folder: Path) -> None:
        """Write the native files into an existing folder."""
        ...


class XgboostPredictor:
    """Boosted trees; one thread, so that several scorers share a machine fairly."""

    def __init__(self, booster: "xgboost.Booster", prepare: Preprocess | None) -> None:
        booster.set_param({"nthread": SCORING_THREADS})
        self._booster = booster
        self._prepare = prepare
        trees, base = trees_of_xgboost(booster)
        paths = joined(trees, base, np.float32)
        self._shap = shap_tables(trees, np.float32)
        self._paths = paths.agreeing(self._native_margin, booster.num_features())

    def _native_margin(self, prepared: Floats) -> Floats:
        raw = self._booster.inplace_predict(
            prepared.astype(np.float32), predict_type="margin", validate_features=False
        )
        return np.asarray(raw, dtype=np.float64)

    def margin(self, values: Floats) -> Floats:
        """Log-odds, XGBoost's own to the bit."""
        return self._paths.margin(self._prepared(values))

    def explained(self, values: Floats) -> tuple[Floats, Floats]:
        """Along the decision paths: about a hundred times faster than Shapley values."""
        return self._paths.explained(self._prepared(values))

    def exact_contributions(self, values: Floats) -> Floats:
        """TreeSHAP."""
        return self._shap.contributions(self._prepared(values))

    def _prepared(self, values: Floats) -> Floats:
        return values if self._prepare is None else self._prepare.apply(values)

    def save(self, folder: Path) -> None:
        """UBJSON, XGBoost's own format."""
        self._booster.save_model(str(folder / "model.ubj"))
        write_header(folder, "xgboost", self._prepare)

    @classmethod
    def load(cls, folder: Path, prepare: Preprocess | None) -> "XgboostPredictor":
        """From the files that `save` wrote."""
        import xgboost

        booster = xgboost.Booster(params={"nthread": SCORING_THREADS})
        booster.load_model(bytearray((folder / "model.ubj").read_bytes()))
        return cls(booster, prepare)


class LinearPredictor:
    """Logistic regression on prepared features; its contributions are exact already."""

    def __init__(self, weights: Floats, intercept: float, prepare: Preprocess) -> None:
        self._weights = weights
        self._intercept = intercept
        self._prepare = prepare

    def margin(self, values: Floats) -> Floats:
        """Weighted sum; row by row, so that a row's bits do not depend on its neighbours."""
        products = self._prepare.apply(values) * self._weights
        total: Floats = products.sum(axis=1) + self._intercept
        return total

    def explained(self, values: Floats) -> tuple[Floats, Floats]:
        """Weight times prepared value, and the sum of these."""
        return self.margin(values), self.exact_contributions(values)

    def exact_contributions(self, values: Floats) -> Floats:
        """The same: prepared features have mean 0 on the training fold."""
        return self._prepare.apply(values) * self._weights

    def save(self, folder: Path) -> None:
        """All in the header."""
        extra = {"weights": self._weights.tolist(), "intercept": self._intercept}
        write_header(folder, "logistic_regression", self._prepare, extra)

    @classmethod
    def load(cls, header: dict[str, Any], prepare: Preprocess) -> "LinearPredictor":
        """From the header that `save` wrote."""
        return cls(np.asarray(header["weights"], float), float(header["intercept"]), prepare)


def write_header(
    folder: Path, family: str, prepare: Preprocess | None, extra: dict[str, Any] | None = None
) -> None:
    """Name the family, and keep what comes before the model."""
    tree = {"family": family, "prepare": None if prepare is None else prepare.to_tree()}
    (folder / PREDICTOR_FILE).write_text(json.dumps(tree | (extra or {}), sort_keys=True))


def load_predictor(folder: Path) -> Predictor:
    """The model that `save` wrote into a folder.

    Raises:
        BundleError: they are of a family that this code does not know.
    """
    header = json.loads((folder / PREDICTOR_FILE).read_text())
    prepare = None if header["prepare"] is None else preprocess_from(header["prepare"])
    if header["family"] == "xgboost":
        return XgboostPredictor.load(folder, prepare)
    if header["family"] == "lightgbm":
        return LightgbmPredictor.load(folder, prepare)
    if header["family"] == "random_forest":
        return ForestPredictor.load(folder, prepare)
    if header["family"] == "neural_net" and prepare is not None:
        return NeuralPredictor.load(folder, prepare)
    if header["family"] == "logistic_regression" and prepare is not None:
        return LinearPredictor.load(header, prepare)
    raise BundleError("the model's family is unknown", value=header["family"])


def sigmoid(margin: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-odds to probability, without overflow."""
    probability: NDArray[np.float64] = 0.5 * (1.0 + np.tanh(0.5 * margin))
    return probability
