"""Health gates that need no server to be tried."""

import shutil
from pathlib import Path

import pytest

from contracts.settings import load_settings
from stack.credentials import ensure_local_env
from stack.health import checks, refuse_unhealthy
from stack.layout import Layout
from stack.service import Context
from stack.waiting import NotReady

CHECKOUT = Path(__file__).resolve().parents[2]
HEALTH = {
    "scheduler": {
        "status": "healthy",
        "latest_scheduler_heartbeat": "1970-01-01T00:01:40.500000+00:00",
    },
    "triggerer": {"status": "unhealthy", "latest_triggerer_heartbeat": None},
    "dag_processor": None,
}


def test_a_sign_of_life_of_an_earlier_process_does_not_count() -> None:
    """A heartbeat before the process's start leaves it unhealthy; one after it is enough."""
    refuse_unhealthy(HEALTH, "scheduler", not_before=100)
    with pytest.raises(NotReady, match="no sign of life since it started"):
        refuse_unhealthy(HEALTH, "scheduler", not_before=101)


@pytest.mark.parametrize("component", ["triggerer", "dag_processor", "metadatabase"])
def test_what_airflow_does_not_call_healthy_is_not(component: str) -> None:
    """An unhealthy, empty or missing component is not ready."""
    with pytest.raises(NotReady, match=component):
        refuse_unhealthy(HEALTH, component)


def test_every_gate_says_that_nothing_listens(tmp_path: Path) -> None:
    """Each gate turns an absent server into `NotReady` with a reason, within its few seconds."""
    (tmp_path / "config").mkdir()
    shutil.copy(CHECKOUT / "config" / "config.yaml", tmp_path / "config")
    layout = Layout(tmp_path, 31_500)
    secrets = ensure_local_env(layout)
    context = Context(layout, load_settings(tmp_path, environ={}), secrets)
    for name, check in checks(context).items():
        with pytest.raises(NotReady) as caught:
            check()
        assert str(caught.value), name
