"""MLflow clients made from settings, and runs that a retry finds again."""

import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from contracts.errors import RegistryError
from contracts.settings import MlflowSettings, Settings

REFERENCE_TAG = "fraud.reference"
ARM_TAG = "fraud.arm"
_REMEDY = "Check MLFLOW_TRACKING_URI; locally, run `fraud status`"


def tracking_client(mlflow_settings: MlflowSettings) -> Any:
    """A client of the tracking server and registry, after asking it whether it is there.

    MLflow's own client retries for minutes; this fails within seconds.

    Raises:
        RegistryError: the server does not answer.
    """
    uri = mlflow_settings.tracking_uri
    if uri.startswith("http"):
        request_json(f"{uri}/api/2.0/mlflow/experiments/get?experiment_id=0")
    from mlflow.environment_variables import (
        MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR,
        MLFLOW_HTTP_REQUEST_MAX_RETRIES,
    )

    import mlflow

    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.set(False)
    MLFLOW_HTTP_REQUEST_MAX_RETRIES.set(3)
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    return mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)


@contextmanager
def asking_mlflow() -> Iterator[None]:
    """Turn what MLflow's client raises into the project's error, so that a retry knows its cause.

    Also a decorator. Refusals that mean something, such as a missing alias, are handled where they
    arise and never come here.

    Raises:
        RegistryError: the server went away or refused in the middle of the work.
    """
    from mlflow.exceptions import MlflowException
    from requests import RequestException

    try:
        yield
    except (MlflowException, RequestException) as error:
        raise RegistryError(f"MLflow failed: {error}", remedy=_REMEDY) from error


def request_json(url: str, timeout_seconds: float = 5.0) -> bytes | None:
    """GET; None for a 404.

    Raises:
        RegistryError: no answer, or a refusal.
    """
    try:
        with urllib.request.urlopen(url, timeout=timeout_seconds) as answer:
            body: bytes = answer.read()
            return body
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise RegistryError(
            f"MLflow refused: {error.code} {error.reason}", value=url, remedy=_REMEDY
        ) from error
    except (OSError, urllib.error.URLError) as error:
        raise RegistryError(
            f"MLflow does not answer: {error}", value=url, remedy=_REMEDY
        ) from error


def experiment_id(client: Any, name: str) -> str:
    """The experiment's id; made if it does not exist."""
    found = client.get_experiment_by_name(name)
    made: str = client.create_experiment(name) if found is None else found.experiment_id
    return made


def find_run(client: Any, experiment: str, tags: Mapping[str, str]) -> str | None:
    """The newest run with these tags that has not failed."""
    wanted = " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
    runs = client.search_runs([experiment], filter_string=wanted, max_results=10)
    usable = [r for r in runs if r.info.status in ("FINISHED", "RUNNING")]
    return str(usable[0].info.run_id) if usable else None


def start_run(settings: Settings, client: Any, reference: str, tags: Mapping[str, str]) -> str:
    """The parent run of a training: made, or found again by its reference."""
    experiment = experiment_id(client, settings.mlflow.experiment)
    found = find_run(client, experiment, {REFERENCE_TAG: reference})
    if found is not None:
        return found
    run = client.create_run(experiment, run_name=reference, tags={REFERENCE_TAG: reference, **tags})
    return str(run.info.run_id)


def finished_child(client: Any, parent_run_id: str, arm: str) -> Any | None:
    """The child run of an arm if it is complete."""
    runs = _children(client, client.get_run(parent_run_id), arm)
    return next((run for run in runs if run.info.status == "FINISHED"), None)


def _children(client: Any, parent: Any, arm: str) -> list[Any]:
    run_id, experiment = parent.info.run_id, parent.info.experiment_id
    wanted = f"tags.`mlflow.parentRunId` = '{run_id}' and tags.`{ARM_TAG}` = '{arm}'"
    return list(client.search_runs([experiment], filter_string=wanted))


def start_child(client: Any, parent_run_id: str, arm: str) -> str:
    """A new child run of an arm; one that a killed task left open is closed as killed."""
    parent = client.get_run(parent_run_id)
    for run in _children(client, parent, arm):
        if run.info.status == "RUNNING":
            client.set_terminated(run.info.run_id, "KILLED")
    tags = {"mlflow.parentRunId": parent_run_id, ARM_TAG: arm}
    run = client.create_run(parent.info.experiment_id, run_name=arm, tags=tags)
    return str(run.info.run_id)


def log_values(
    client: Any, run_id: str, params: Mapping[str, Any], metrics: Mapping[str, float]
) -> None:
    """Parameters and finite metrics in one request."""
    from mlflow.entities import Metric, Param
    from mlflow.utils.time import get_current_time_millis

    now = get_current_time_millis()
    finite = {name: value for name, value in metrics.items() if value == value}
    client.log_batch(
        run_id,
        metrics=[Metric(name, float(value), now, 0) for name, value in finite.items()],
        params=[Param(name, str(value)[:6000]) for name, value in params.items()],
    )


def log_folder(client: Any, run_id: str, folder: Path, path: str | None = None) -> None:
    """Upload a folder's files."""
    client.log_artifacts(run_id, str(folder), path)


def fetch_folder(run_id: str, path: str, target: Path) -> Path:
    """Download an artifact folder of a run.

    Raises:
        RegistryError: it is missing, or the server does not answer.
    """
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    try:
        return Path(download_artifacts(run_id=run_id, artifact_path=path, dst_path=str(target)))
    except (MlflowException, OSError) as error:
        raise RegistryError(f"the run's {path} cannot be fetched: {error}", value=run_id) from error
