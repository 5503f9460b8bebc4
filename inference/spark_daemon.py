"""Spark's Python daemon with the scorer's libraries and kernels in: workers are forked from it.

A worker then begins with them in memory that all share, instead of importing them for seconds each;
so does one that takes the place of a killed one.
"""

import gc
import importlib

from pyspark.daemon import manager

LIBRARIES = (
    "inference.spark_worker",
    "models.bundle",
    "models.registry",
    "mlflow.tracking",
    "xgboost",
)


def preload() -> None:
    """Load all that scoring needs, and spare the collector from ever looking at it again."""
    for name in LIBRARIES:
        importlib.import_module(name)
    importlib.import_module("inference.warm").load_kernels()
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    preload()
    manager()
