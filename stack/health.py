"""Health gates: each asks the service itself, and raises `NotReady` with its answer."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from datetime import datetime
from http.client import HTTPException
from typing import Any

import psycopg2
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from redis import Redis
from redis.exceptions import RedisError

from contracts.errors import StackError
from contracts.frontiers import alive_key
from contracts.kafka import client_config
from stack.layout import HOST
from stack.object_store import put_and_get
from stack.postgres_server import SUPERUSER
from stack.service import Context
from stack.supervision import UnreachableError, connect
from stack.waiting import NotReady

ASK_SECONDS = 3.0

HEARTBEATS: Mapping[str, str] = {
    "airflow-scheduler": "scheduler",
    "airflow-dag-processor": "dag_processor",
    "airflow-triggerer": "triggerer",
}
"""Service to its name in Airflow's answer about its health."""

Check = Callable[[], None]


def checks(context: Context) -> Mapping[str, Check]:
    """A gate for every service that has one; on-demand services have none."""
    return {
        "postgres": lambda: _postgres(context),
        "objectstore": lambda: put_and_get(context.settings.object_store),
        "kafka": lambda: _kafka(context),
        "redis": lambda: _redis(context.settings.redis.url),
        "mlflow": lambda: _mlflow(context.settings.mlflow.tracking_uri),
        "tiles": lambda: _tiles(context.settings.redis.url, context.settings.kafka.topic),
        "airflow-api-server": lambda: _airflow_api(context),
        **{name: _airflow_check(context, name) for name in HEARTBEATS},
    }


def _postgres(context: Context) -> None:
    try:
        connection = psycopg2.connect(
            host=HOST,
            port=context.layout.port("postgres"),
            user=SUPERUSER,
            password=context.secrets["POSTGRES_PASSWORD"],
            dbname="postgres",
            connect_timeout=int(ASK_SECONDS),
        )
    except psycopg2.OperationalError as error:
        _refuse_lost_password(str(error))
        raise NotReady(str(error).strip().splitlines()[0]) from error
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    connection.close()


def _refuse_lost_password(answer: str) -> None:
    if "password authentication failed" in answer:
        raise StackError(
            "Postgres's data was made with another password than .fraud/local.env holds",
            remedy="Put the old file back, or start afresh: `fraud down --wipe`, then `fraud up`",
        )


def _kafka(context: Context) -> None:
    heard: list[str] = []
    options = {
        "log_level": 0,
        "socket.timeout.ms": int(ASK_SECONDS * 1000),
        # A refused login is told only here; the call itself just times out.
        "error_cb": lambda error: heard.append(error.str()),
    }
    admin = AdminClient(client_config(context.settings.kafka, **options))
    try:
        admin.list_topics(timeout=ASK_SECONDS)
    except KafkaException as error:
        admin.poll(0)
        raise NotReady(f"no metadata: {(heard or [error.args[0].str()])[0]}") from error


def _redis(url: str) -> None:
    client = Redis.from_url(url, socket_timeout=ASK_SECONDS, socket_connect_timeout=ASK_SECONDS)
    try:
        client.ping()
    except RedisError as error:
        raise NotReady(f"no answer to PING: {error}") from error
    finally:
        client.close()


def _tiles(url: str, topic: str) -> None:
    """It keeps a key alive in Redis as long as it gets on with its work."""
    client = Redis.from_url(url, socket_timeout=ASK_SECONDS, socket_connect_timeout=ASK_SECONDS)
    try:
        if client.get(alive_key(topic)) is None:
            raise NotReady("no sign of life in Redis")
    except RedisError as error:
        raise NotReady(f"Redis does not answer: {error}") from error
    finally:
        client.close()


def _mlflow(url: str) -> None:
    body = ask_json(f"{url}/api/2.0/mlflow/experiments/search?max_results=1")
    if "experiments" not in body:
        raise NotReady(f"an API path answers {body}")


def _airflow_api(context: Context) -> None:
    refuse_unhealthy(_airflow_health(context), "metadatabase")


def _airflow_check(context: Context, service: str) -> Check:
    def check() -> None:
        health = _airflow_health(context)
        refuse_unhealthy(health, HEARTBEATS[service], not_before=_started_at(context, service))

    return check


def _started_at(context: Context, service: str) -> float:
    try:
        return connect(context).processes()[service].started_at
    except UnreachableError as error:
        raise NotReady(str(error)) from error


def _airflow_health(context: Context) -> dict[str, Any]:
    return ask_json(f"{context.settings.airflow.url}/api/v2/monitor/health")


def refuse_unhealthy(health: Mapping[str, Any], component: str, not_before: float = 0.0) -> None:
    """Airflow calls a component healthy until its last sign of life is 30 s old, dead or not.

    So that sign must also be younger than `not_before`, the start of its process (epoch seconds).

    Raises:
        NotReady: the component is not healthy, or the sign is that of an earlier process.
    """
    told = health.get(component) or {}
    status = told.get("status")
    if status != "healthy":
        raise NotReady(f"Airflow says that its {component} is {status or 'not there yet'}")
    heartbeat = told.get(f"latest_{component}_heartbeat")
    if heartbeat and datetime.fromisoformat(heartbeat).timestamp() < not_before:
        raise NotReady(f"{component} has given no sign of life since it started")


def ask_json(
    url: str, *, method: str = "GET", body: object = None, token: str = ""
) -> dict[str, Any]:
    """A JSON answer of one of our own http services; proxies are not for them.

    Raises:
        NotReady: no connection, an error status, or no JSON object.
    """
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=ASK_SECONDS) as answer:
            return dict(json.load(answer))
    except urllib.error.HTTPError as error:
        raise NotReady(f"{url} answers {error.code}") from error
    except (OSError, HTTPException, ValueError) as error:
        raise NotReady(f"{url} does not answer: {error}") from error
