"""The executor that loads the learning libraries before it forks."""

from importlib import import_module
from importlib.util import find_spec

import pytest
from airflow.executors.local_executor import LocalExecutor

from plugins.preloaded_executor import LIBRARIES
from stack.airflow import EXECUTOR


@pytest.mark.parametrize("name", LIBRARIES)
def test_every_library_that_is_loaded_ahead_exists(name: str) -> None:
    """One that is gone would stop the scheduler at its start."""
    assert find_spec(name) is not None


def test_the_configured_executor_is_a_local_one() -> None:
    """Airflow finds it by the configured path."""
    module, _, name = EXECUTOR.rpartition(".")
    assert issubclass(getattr(import_module(module), name), LocalExecutor)
