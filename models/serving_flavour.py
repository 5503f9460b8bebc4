"""How MLflow loads a bundle as a `pyfunc`: a data frame of features in, probabilities out."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.bundle import Bundle, open_bundle

if TYPE_CHECKING:
    import pandas as pd


class ScoringModel:
    """The interface that MLflow expects of a loaded model."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    def predict(self, frame: "pd.DataFrame") -> NDArray[np.float64]:
        """Calibrated probabilities; columns are taken by name."""
        values = frame[list(self._bundle.feature_names)].to_numpy(dtype=np.float64)
        return self._bundle.score(values)


def _load_pyfunc(path: str) -> ScoringModel:
    """Called by MLflow with the bundle's folder; the name is MLflow's."""
    return ScoringModel(open_bundle(Path(path), version="pyfunc"))
