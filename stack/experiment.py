"""MLflow's experiment."""

from urllib.parse import quote

from contracts.settings import MlflowSettings
from stack.health import ask_json
from stack.waiting import NotReady


def create_experiment(mlflow: MlflowSettings) -> None:
    """MLflow's experiment, if there is none of that name."""
    api = f"{mlflow.tracking_uri}/api/2.0/mlflow/experiments"
    try:
        ask_json(f"{api}/get-by-name?experiment_name={quote(mlflow.experiment, safe='')}")
    except NotReady:
        ask_json(f"{api}/create", method="POST", body={"name": mlflow.experiment})
