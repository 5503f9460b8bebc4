"""Airflow's local executor, with the learning libraries loaded before its workers are forked.

Every task is forked from a worker, and a training task imports for three to five seconds of one
core before it does anything. Loaded once, ahead of the first fork, the libraries' pages are shared
by all of them.
"""

import importlib
import time

from airflow.executors.local_executor import LocalExecutor

LIBRARIES = (
    "pyarrow.parquet",
    "mlflow.artifacts",
    "mlflow.models",
    "mlflow.tracking",
    "sklearn.ensemble",
    "sklearn.isotonic",
    "sklearn.linear_model",
    "sklearn.neural_network",
    "imblearn.over_sampling",
    "xgboost",
    "lightgbm",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "features.engine",
    "models.build",
    "models.gating",
    "models.promotion",
    "models.snapshot",
    "models.training",
)
"""None of these starts a thread when it is imported, so a fork afterwards is safe."""


class PreloadedLocalExecutor(LocalExecutor):
    """A `LocalExecutor` whose tasks find `LIBRARIES` in memory."""

    def start(self) -> None:
        """Import, then fork the workers."""
        began = time.monotonic()
        for name in LIBRARIES:
            importlib.import_module(name)
        self.log.info("learning libraries loaded in %.1f s", time.monotonic() - began)
        super().start()
