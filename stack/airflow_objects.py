"""Airflow's connections and variables, set through its REST API."""

import json
from collections.abc import Mapping
from typing import Any

from contracts.errors import StackError
from contracts.kafka import client_config
from stack.health import ask_json
from stack.service import Context


def create_airflow_objects(context: Context) -> None:
    """Airflow's connections and variables, set to this checkout's addresses."""
    api = context.settings.airflow.url
    token = _airflow_token(context)
    _overwrite(f"{api}/api/v2/connections", airflow_connections(context), token)
    _overwrite(f"{api}/api/v2/variables", airflow_variables(context), token)


def _airflow_token(context: Context) -> str:
    airflow = context.settings.airflow
    login = {"username": airflow.user, "password": airflow.password.get_secret_value()}
    return str(ask_json(f"{airflow.url}/auth/token", method="POST", body=login)["access_token"])


def _overwrite(url: str, entities: list[dict[str, Any]], token: str) -> None:
    action = {"action": "create", "entities": entities, "action_on_existence": "overwrite"}
    answer = ask_json(url, method="PATCH", body={"actions": [action]}, token=token)
    errors = (answer.get("create") or {}).get("errors")
    if errors:
        raise StackError(f"Airflow refused its connections or variables: {errors}")


def airflow_connections(context: Context) -> list[dict[str, Any]]:
    """Kafka, the object store and the platform's database, as Airflow shows them."""
    kafka, store = context.settings.kafka, context.settings.object_store
    database = context.settings.database
    reader = client_config(kafka, **{"group.id": f"{kafka.group_id}-airflow"})
    return [
        {
            "connection_id": "kafka_default",
            "conn_type": "kafka",
            # A shared-stream trigger commits by itself.
            "extra": json.dumps(reader | {"enable.auto.commit": False}),
        },
        {
            "connection_id": "fraud_object_store",
            "conn_type": "generic",
            "host": store.host,
            "login": store.access_key.get_secret_value(),
            "password": store.secret_key.get_secret_value(),
            "extra": json.dumps({"bucket": store.bucket}),
        },
        {
            "connection_id": "fraud_database",
            "conn_type": "postgres",
            "host": database.host,
            "port": database.port,
            "schema": database.name,
            "login": database.user,
            "password": database.password.get_secret_value(),
        },
        {"connection_id": "fraud_mlflow", "conn_type": "http", "host": _mlflow_host(context)},
    ]


def _mlflow_host(context: Context) -> str:
    return context.settings.mlflow.tracking_uri


def airflow_variables(context: Context) -> list[dict[str, Any]]:
    """Names that an operator may look up in the UI."""
    mlflow = context.settings.mlflow
    values: Mapping[str, str] = {
        "fraud_home": str(context.layout.root),
        "fraud_experiment": mlflow.experiment,
        "fraud_model_name": mlflow.model_name,
    }
    return [{"key": name, "value": value} for name, value in values.items()]
