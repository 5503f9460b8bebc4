"""Spark's Python daemon with the scorer's libraries and kernels in: workers are forked from it.

A worker then begins with them in memory that all share, instead of importing them for seconds each;
so does one that takes the place of a killed one.
"""

import gc
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.daemon import manager

LIBRARIES = (
    "inference.spark_worker",
    "models.bundle",
    "models.registry",
    "mlflow.tracking",
)


def preload() -> None:
    """Load all that scoring needs, and spare the collector from ever looking at it again."""
    with _absent("sklearn"):
        importlib.import_module("xgboost")
    for name in LIBRARIES:
        importlib.import_module(name)
    importlib.import_module("inference.warm").load_kernels()
    gc.collect()
    gc.freeze()


@contextmanager
def _absent(name: str) -> Iterator[None]:
    """Have a module not found for the length of the block, unless it is imported already.

    XGBoost brings scikit-learn along, if it is there, for estimators that nobody scores with: five
    sixths of its own import, and the job's start waits for it.
    """
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # what the import system takes for absent
    try:
        yield
    finally:
        del sys.modules[name]


if __name__ == "__main__":
    preload()
    manager()
