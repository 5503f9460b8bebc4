"""A real standalone Spark cluster: one master and its workers, each a process."""

import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyspark

HOST = "127.0.0.1"
SPARK_HOME = Path(pyspark.__file__).parent
START_SECONDS = 120.0
MASTER_CLASS = "org.apache.spark.deploy.master.Master"
WORKER_CLASS = "org.apache.spark.deploy.worker.Worker"


@dataclass(frozen=True, slots=True)
class Cluster:
    """`url` is what `--master` takes; `page` is the master's web page."""

    url: str
    page: str

    def state(self) -> dict[str, Any]:
        """What the master says of its workers and applications."""
        with urllib.request.urlopen(f"{self.page}/json/", timeout=5) as answer:
            found: dict[str, Any] = json.loads(answer.read())
        return found


@contextmanager
def spark_cluster(folder: Path, workers: int) -> Iterator[Cluster]:
    """A master with `workers` workers of one core each; all end with the block."""
    port, page = _free_port(), _free_port()
    cluster = Cluster(f"spark://{HOST}:{port}", f"http://{HOST}:{page}")
    with ExitStack() as running:
        places = ("--host", HOST, "--port", str(port), "--webui-port", str(page))
        running.enter_context(_process(folder / "master", MASTER_CLASS, *places))
        for number in range(workers):
            home = folder / f"worker-{number}"
            size = ("--cores", "1", "--memory", "1g", "--webui-port", "0", "--host", HOST)
            arguments = (*size, "--work-dir", str(home), cluster.url)
            running.enter_context(_process(home, WORKER_CLASS, *arguments))
        _await_workers(cluster, workers)
        yield cluster


def _await_workers(cluster: Cluster, count: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            if cluster.state()["aliveworkers"] == count:
                return
        except (OSError, json.JSONDecodeError):
            pass  # not up yet, or up with nothing to say
        if time.monotonic() > deadline:
            raise TimeoutError(f"{count} Spark workers did not come up")
        time.sleep(0.2)


@contextmanager
def _process(home: Path, main: str, *arguments: str) -> Iterator[None]:
    home.mkdir(parents=True)
    environment = {**os.environ, "SPARK_HOME": str(SPARK_HOME), "SPARK_LOCAL_IP": HOST}
    with (home / "log").open("ab") as log:
        process = subprocess.Popen(
            [str(SPARK_HOME / "bin" / "spark-class"), main, *arguments],
            stdout=log,
            stderr=log,
            env=environment,
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
