"""The table of services, in dependency order."""

from stack.airflow import airflow_services
from stack.kafka_server import kafka
from stack.layout import environment_bin
from stack.postgres_server import postgres
from stack.servers import mlflow, object_store, redis
from stack.service import Context, Service


def services(context: Context) -> tuple[Service, ...]:
    """Every service of the stack; those on demand come last."""
    return (
        postgres(context),
        object_store(context),
        kafka(context),
        redis(context),
        mlflow(context),
        *airflow_services(context),
        *_on_demand(context),
    )


def _on_demand(context: Context) -> tuple[Service, ...]:
    fraud = str(environment_bin() / "fraud")
    commands = {
        "producer": ("produce", "normal", "--time-lapse"),
        "tiles": ("tiles",),
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
