"""Triggers a DAG over Airflow's REST API and follows it: one client, where a CLI call costs 5 s."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import stamina

from contracts.errors import StackError
from contracts.settings import AirflowSettings

POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class TaskState:
    """A task instance: `map_index` is -1 for a task that is not mapped."""

    task_id: str
    map_index: int
    state: str
    duration_seconds: float


@dataclass(frozen=True, slots=True)
class RunState:
    """A DAG run and its tasks at one moment."""

    state: str
    tasks: tuple[TaskState, ...]


class AirflowClient:
    """A session with Airflow's API; use as a context manager."""

    def __init__(self, airflow: AirflowSettings) -> None:
        self._airflow = airflow
        self._http = httpx.Client(base_url=airflow.url, timeout=20.0)

    def __enter__(self) -> "AirflowClient":
        self._sign_in()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def _sign_in(self) -> None:
        credentials = {
            "username": self._airflow.user,
            "password": self._airflow.password.get_secret_value(),
        }
        token = self._call("POST", "/auth/token", credentials)["access_token"]
        self._http.headers["Authorization"] = f"Bearer {token}"

    @stamina.retry(on=httpx.TransportError, attempts=5, timeout=30.0)
    def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> httpx.Response:
        return self._http.request(method, path, json=body)

    def _answer(self, method: str, path: str, body: Mapping[str, Any] | None) -> httpx.Response:
        try:
            return self._send(method, path, body)
        except httpx.TransportError as error:
            raise StackError(
                "Airflow does not answer", value=self._airflow.url, remedy="Run `fraud status`"
            ) from error

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        response = self._answer(method, path, body)
        if response.is_error:
            raise StackError(
                f"Airflow refused {method} {path}: {response.status_code}",
                value=response.text[:300],
                remedy="See `fraud logs airflow-api-server`",
            )
        try:
            return response.json()
        except ValueError as error:
            raise StackError(
                "Airflow's address answers with something else than its API",
                value=f"{self._airflow.url}{path}",
                remedy="Is AIRFLOW_URL another server's, or a proxy's?",
            ) from error

    def trigger(self, dag_id: str, conf: Mapping[str, Any], *, wait_seconds: float = 60.0) -> str:
        """Start a run and return its id; a DAG not parsed yet is waited for."""
        self._await_dag(dag_id, time.monotonic() + wait_seconds)
        body = {"conf": dict(conf), "logical_date": None}
        run = self._call("POST", f"/api/v2/dags/{dag_id}/dagRuns", body)
        return str(run["dag_run_id"])

    def _await_dag(self, dag_id: str, deadline: float) -> None:
        while True:
            answer = self._answer("GET", f"/api/v2/dags/{dag_id}", None)
            if answer.is_success:
                return
            if time.monotonic() > deadline:
                raise StackError(
                    "Airflow does not know the DAG",
                    value=dag_id,
                    remedy="Run `fraud logs airflow-dag-processor`",
                )
            time.sleep(POLL_SECONDS)

    def run_state(self, dag_id: str, run_id: str) -> RunState:
        """The run's state and its tasks', in the order in which they started."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}"
        run = self._call("GET", path)
        rows = self._call("GET", f"{path}/taskInstances")["task_instances"]
        rows.sort(key=lambda row: row["start_date"] or "9")
        return RunState(run["state"], tuple(_task(row) for row in rows))

    def follow(self, dag_id: str, run_id: str, *, timeout_seconds: float) -> Iterator[RunState]:
        """Yield the run's state every second until it ends.

        Raises:
            StackError: the run failed, or did not end in time; names the tasks and their log.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            state = self.run_state(dag_id, run_id)
            yield state
            if state.state == "success":
                return
            if state.state == "failed" or time.monotonic() > deadline:
                raise _failure(dag_id, run_id, state)
            time.sleep(POLL_SECONDS)

    def result(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """What a task returned."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"
        return self._call("GET", f"{path}/xcomEntries/return_value?deserialize=true")["value"]


def _task(row: Mapping[str, Any]) -> TaskState:
    return TaskState(
        row["task_id"], row["map_index"], row["state"] or "waiting", row["duration"] or 0.0
    )


def _failure(dag_id: str, run_id: str, state: RunState) -> StackError:
    failed = [task.task_id for task in state.tasks if task.state in ("failed", "upstream_failed")]
    what = "failed" if state.state == "failed" else f"is still {state.state} past its deadline"
    return StackError(
        f"{dag_id} {what}",
        value=failed or [task.task_id for task in state.tasks if task.state == "running"],
        remedy=f"See logs/airflow/dag_id={dag_id}/run_id={run_id} or Airflow's page of the run",
    )
