"""Where a checkout keeps its local state, and which ports its servers use."""

import hashlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from contracts.errors import StackError

BASE_PORTS: Mapping[str, int] = {
    "postgres": 5432,
    "objectstore": 9000,
    "objectstore-grpc": 19000,
    "objectstore-master": 9333,
    "objectstore-master-grpc": 19333,
    "objectstore-volume": 9340,
    "objectstore-volume-grpc": 19340,
    "objectstore-filer": 8888,
    "objectstore-filer-grpc": 18888,
    "objectstore-admin": 23646,
    "objectstore-admin-grpc": 33646,
    "kafka": 9092,
    "kafka-controller": 9093,
    "redis": 6379,
    "mlflow": 5500,
    "airflow": 3333,
    "supervisor": 9001,
    "spark-ui": 4040,
    "stream-metrics": 4090,
    "tiles-metrics": 4091,
}
"""Listener to port, before the checkout's offset is added."""

LONGEST_SOCKET_PATH = 103
"""Bytes of a Unix socket's path that every system takes; Linux has room for four more."""

HIGHEST_OFFSET = 65535 - max(BASE_PORTS.values())
HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths and ports of one checkout; `offset` lets several run side by side."""

    root: Path
    offset: int = 0

    @property
    def state(self) -> Path:
        """Everything generated that isn't a log; `down --wipe` removes its data."""
        return self.root / ".fraud"

    @property
    def run(self) -> Path:
        """Generated configuration and pid files."""
        return self.state / "run"

    @property
    def logs(self) -> Path:
        """One rotated log per service."""
        return self.root / "logs"

    @property
    def jars(self) -> Path:
        """Kafka's jars, and Spark's Kafka connector."""
        return self.state / "jars"

    @property
    def airflow_home(self) -> Path:
        """Airflow's generated configuration and logins."""
        return self.state / "airflow"

    @property
    def local_env(self) -> Path:
        """Generated secrets and ports, mode 600."""
        return self.state / "local.env"

    @property
    def redis_socket(self) -> Path | None:
        """Where Redis listens beside its port; None in a checkout too deep for a socket."""
        path = self.run / "redis.sock"
        return path if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH else None

    def data(self, service: str) -> Path:
        """A server's own data folder."""
        return self.state / "data" / service

    def port(self, listener: str) -> int:
        """The port of a listener named in `BASE_PORTS`."""
        return BASE_PORTS[listener] + self.offset

    def url(self, listener: str) -> str:
        """The http address of a listener."""
        return f"http://{HOST}:{self.port(listener)}"

    @property
    def identity(self) -> str:
        """A short name that differs between checkouts."""
        return hashlib.sha256(str(self.root).encode()).hexdigest()[:12]


def beside_spark(listener: str, ui_port: int) -> int:
    """A metrics page's port, as far from the Spark UI's as in `BASE_PORTS`."""
    return ui_port + BASE_PORTS[listener] - BASE_PORTS["spark-ui"]


def checked_offset(text: str) -> int:
    """The port offset written as `text`.

    Raises:
        StackError: it is no whole number, or a port would pass 65535.
    """
    if not text.isascii() or not text.isdigit() or int(text) > HIGHEST_OFFSET:
        raise StackError(
            "FRAUD_PORT_OFFSET must be a whole number",
            value=text,
            remedy=f"Use 0 to {HIGHEST_OFFSET}, for example 1000",
        )
    return int(text)


def environment_bin() -> Path:
    """The folder of the running environment's commands (`airflow`, `mlflow`, `weed`, …)."""
    return Path(sys.prefix) / "bin"
