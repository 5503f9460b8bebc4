"""The table of services, in dependency order."""

import re
from dataclasses import replace

from contracts.settings import without_login
from stack.airflow import airflow_services
from stack.kafka_server import kafka
from stack.layout import HOST, environment_bin
from stack.postgres_server import postgres
from stack.servers import mlflow, object_store, redis
from stack.service import Context, Service


def services(context: Context) -> tuple[Service, ...]:
    """Every service of the stack; those on demand come last."""
    return (
        postgres(context),
        *(_marked(context, make(context)) for make in (object_store, kafka, redis, mlflow)),
        *airflow_services(context),
        _tiles(context),
        *_on_demand(context),
    )


def _marked(context: Context, service: Service) -> Service:
    """The service, or, when the settings name another address than ours, the remote one."""
    settings = context.settings
    address = {
        "objectstore": settings.object_store.host,
        "kafka": settings.kafka.broker,
        "redis": settings.redis.url.rpartition("@")[2],
        "mlflow": settings.mlflow.tracking_uri,
    }[service.name]
    socket = settings.redis.socket if service.name == "redis" else None
    ours = f"{HOST}:{context.layout.port(service.listeners[0])}"
    if socket is not None:
        is_ours = socket == context.layout.redis_socket
    else:
        is_ours = ours in re.split("[,/]", address.replace("localhost", HOST))
    if is_ours:
        return service
    return replace(service, is_remote=True, url=without_login(address), listeners=(), needs=())


def _tiles(context: Context) -> Service:
    return Service(
        name="tiles",
        command=(str(environment_bin() / "fraud"), "tiles"),
        directory=context.layout.root,
        needs=("topics", "redis"),
        listeners=("tiles-metrics",),
    )


def _on_demand(context: Context) -> tuple[Service, ...]:
    fraud = str(environment_bin() / "fraud")
    commands = {
        "producer": ("produce", "normal", "--time-lapse"),
        "stream": ("stream", "run"),
    }
    urls = {"stream": f"http://127.0.0.1:{context.settings.spark.ui_port}"}
    return tuple(
        Service(
            name=name,
            command=(fraud, *arguments),
            directory=context.layout.root,
            url=urls.get(name, ""),
            on_demand=True,
            stop_seconds=20,
        )
        for name, arguments in commands.items()
    )
