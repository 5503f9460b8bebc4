"""A run's settings, what its tasks retry, and what Airflow loads as a plugin."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from airflow.sdk import RetryAction
from pydantic import ValidationError

from contracts import errors
from contracts.settings import load_settings
from plugins.retries import server_retry_policy
from plugins.run_settings import overridden
from plugins.stream_pace import keep_pace

ROOT = Path(__file__).parents[2]


def test_a_form_overrides_what_it_names_and_nothing_else() -> None:
    """A null or unknown param leaves the configured value; a number replaces it."""
    settings = load_settings(ROOT, {})
    params = {"maturity_days": 10, "train_days": None, "arms": ["xgboost"]}
    learning = overridden(settings, params).learning
    assert learning.maturity_days == 10
    assert learning.model_dump(exclude={"maturity_days"}) == settings.learning.model_dump(
        exclude={"maturity_days"}
    )


def test_a_form_cannot_smuggle_in_a_wrong_value() -> None:
    """Overrides pass the same checks as the settings file."""
    with pytest.raises(ValidationError):
        overridden(load_settings(ROOT, {}), {"maturity_days": 0})


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (errors.BrokerError("down"), RetryAction.RETRY),
        (errors.ObjectStoreError("down"), RetryAction.RETRY),
        (errors.RegistryError("down"), RetryAction.RETRY),
        (errors.StoreError("down"), RetryAction.RETRY),
        (errors.OffsetsExpiredError("gone"), RetryAction.FAIL),
        (errors.BundleError("unusable"), RetryAction.FAIL),
        (errors.TrainingError("one class only"), RetryAction.FAIL),
        (errors.SettingsError("wrong"), RetryAction.FAIL),
        (ZeroDivisionError(), RetryAction.FAIL),
    ],
)
def test_only_an_absent_server_is_retried(error: Exception, action: RetryAction) -> None:
    """Retries name what they retry; data and models that fail once fail for good."""
    assert server_retry_policy().evaluate(error, 1, 3).action is action


PROBE = """
import json, sys
from airflow.plugins_manager import get_plugin_info
import plugins.hooks.stream_service, plugins.operators.stream
names = [p["name"] for p in get_plugin_info(["name"])]
ours = [m.__file__ for m in list(sys.modules.values())
        if str(getattr(m, "__file__", "")).startswith(sys.argv[1])]
print(json.dumps({
    "plugins": names,
    "twice": sorted({path for path in ours if ours.count(path) > 1}),
}))
"""


def test_airflow_loads_one_plugin_and_nothing_twice(tmp_path: Path) -> None:
    """Only the plugin proper is executed by Airflow; the rest exists once, as plugins.*."""
    environment = os.environ | {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "FRAUD_HOME": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(ROOT / "plugins")],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    seen = json.loads(done.stdout.splitlines()[-1])
    assert "fraud_platform" in seen["plugins"]
    assert seen["twice"] == []


def test_a_pace_reaches_the_stream_and_an_empty_form_undoes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a restart's form says is what the next process reads; without it, the configuration."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    monkeypatch.setenv("FRAUD_HOME", str(tmp_path))
    configured = load_settings(tmp_path, {}).spark
    keep_pace({"action": "restart", "trigger_seconds": 2.5, "max_offsets_per_trigger": 1000})
    spark = load_settings(tmp_path, {}).spark
    assert (spark.trigger_seconds, spark.max_offsets_per_trigger) == (2.5, 1000)
    keep_pace({"action": "restart", "trigger_seconds": None})
    assert load_settings(tmp_path, {}).spark == configured
