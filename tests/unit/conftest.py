"""What unit tests share."""

import os
import tempfile

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Give Airflow, which writes into its home when imported, one that nobody minds."""
    if "AIRFLOW_HOME" not in os.environ:
        os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-home-")
