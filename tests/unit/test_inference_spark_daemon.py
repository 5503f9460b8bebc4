"""Spark's Python daemon: what workers are forked with."""

import subprocess
import sys

PROBE = """
import sys
from inference.spark_daemon import preload
preload()
assert "xgboost" in sys.modules and "inference.spark_worker" in sys.modules
assert "sklearn" not in sys.modules, "scikit-learn was loaded"
import sklearn.base  # another model family may want it later
"""


def test_the_daemon_loads_what_scores_and_leaves_scikit_learn_to_who_wants_it() -> None:
    """A start does not wait for an import that scoring does not need, which stays possible."""
    probe = (sys.executable, "-c", PROBE)
    result = subprocess.run(probe, capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 0, result.stderr
