"""The DAG files: quick to parse, strict forms, and the graph that people are promised."""

import copy
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import ParamValidationError

from models.arms import ALL_ARMS
from plugins.forms import ARMS

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.stem for path in (ROOT / "dags").glob("*.py") if path.stem != "__init__")
HEAVY = [
    *("mlflow", "pyspark", "pandas", "numpy", "pyarrow", "xgboost", "lightgbm", "sklearn"),
    *("numba", "boto3", "confluent_kafka", "models", "features", "inference", "producer"),
]
PROMOTE = "promote_fraud_detection_model"
PROBE = """
import importlib, json, sys
for name in sys.argv[1].split(","):
    importlib.import_module("dags." + name)
print(json.dumps([name for name in sys.argv[2].split(",") if name in sys.modules]))
"""


def _dag(name: str) -> DAG:
    dag: DAG = importlib.import_module(f"dags.{name}").dag
    return dag


def _params(name: str, **chosen: Any) -> None:
    params = copy.deepcopy(_dag(name).params)
    params.update(chosen)
    params.validate()


def test_parsing_imports_nothing_heavy(tmp_path: Path) -> None:
    """Airflow parses DAG files all the time: libraries and rooms load inside tasks only."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, ",".join(NAMES), ",".join(HEAVY)],
        env=os.environ | {"AIRFLOW_HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    assert json.loads(done.stdout.splitlines()[-1]) == []


@pytest.mark.parametrize("name", NAMES)
def test_every_dag_explains_itself_and_starts_unpaused(name: str) -> None:
    """A DAG file holds the DAG of its name, documented, tagged, one run at a time, no catch-up."""
    dag = _dag(name)
    assert dag.dag_id == name
    assert dag.doc_md and dag.doc_md.startswith("### ")
    assert "fraud" in dag.tags
    assert dag.max_active_runs == 1 and not dag.catchup
    assert dag.is_paused_upon_creation is False


@pytest.mark.parametrize("name", NAMES)
def test_every_task_names_what_it_retries(name: str) -> None:
    """No task retries blindly."""
    for task in _dag(name).tasks:
        policy = task.partial_kwargs["retry_policy"] if task.is_mapped else task.retry_policy
        assert policy is not None, task.task_id


def test_training_goes_from_snapshot_to_promotion() -> None:
    """The training graph is one line up to the gate, which promotes itself or asks a person."""
    graph = {
        task.task_id: task.downstream_task_ids for task in _dag("train_fraud_detection_model").tasks
    }
    assert graph == {
        "snapshot": {"build_training_table"},
        "build_training_table": {"train_arm"},
        "train_arm": {"select_and_register"},
        "select_and_register": {"gate"},
        "gate": {"approve_promotion", "promote"},
        "approve_promotion": {"promote"},
        "promote": set(),
    }


def test_arms_are_mapped_two_at_a_time() -> None:
    """Each arm is its own task instance; the machine has room for two."""
    arm = _dag("train_fraud_detection_model").get_task("train_arm")
    assert arm.is_mapped
    assert arm.partial_kwargs["max_active_tis_per_dagrun"] == 2


@pytest.mark.parametrize(
    "chosen",
    [
        {"arms": []},
        {"arms": ["xgboost", "xgboost"]},
        {"arms": "xgboost"},
        {"promotion": "maybe"},
        {"maturity_days": 0},
        {"maturity_days": "ten"},
        {"validation_days": 1},
        {"tuning_trials": -1},
        {"prequential_folds": 5},
    ],
)
def test_training_form_refuses_wrong_values(chosen: dict[str, Any]) -> None:
    """A wrong value is refused before a run starts."""
    _params("train_fraud_detection_model", arms=["xgboost"], maturity_days=10)
    with pytest.raises(ParamValidationError):
        _params("train_fraud_detection_model", **chosen)


@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        ("run_fraud_inference", {"action": "explode"}),
        (PROMOTE, {"version": 0, "why": "better"}),
        (PROMOTE, {"version": 3, "why": ""}),
        (PROMOTE, {"why": "better"}),
        ("rollback_fraud_detection_model", {}),
    ],
)
def test_other_forms_refuse_wrong_or_missing_values(name: str, chosen: dict[str, Any]) -> None:
    """Versions, reasons and actions are checked, and what is required must be given."""
    with pytest.raises(ParamValidationError):
        _params(name, **chosen)


def test_the_form_offers_the_arms_that_exist() -> None:
    """The form cannot import the models' room, so its list is held to theirs here."""
    assert tuple(ARMS) == ALL_ARMS


def test_stopping_the_stream_skips_the_health_checks() -> None:
    """The action comes first, then the service's state, then what it decides."""
    graph = {task.task_id: task.downstream_task_ids for task in _dag("run_fraud_inference").tasks}
    assert graph["apply_action"] == {"service_runs"}
    assert "decisions_advance" in graph["service_runs"]


def test_promotion_asks_only_when_told() -> None:
    """The approval stands beside the direct way, and both end in the same promotion."""
    graph = {task.task_id: task.downstream_task_ids for task in _dag(PROMOTE).tasks}
    assert graph["ask_or_promote"] == {"approve_promotion", "promote"}
    assert graph["approve_promotion"] == {"promote"}
