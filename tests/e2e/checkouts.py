"""Checkouts of their own for end-to-end tests: a stack that nothing else uses."""

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from contracts.settings import VARIABLES
from stack.airflow import COMPONENTS
from stack.bring_up import open_context
from stack.layout import BASE_PORTS, Layout
from stack.processes import holders
from stack.service import Context
from stack.status import ServiceStatus, stack_status

CHECKOUT = Path(__file__).resolve().parents[2]
FRAUD = str(Path(sys.prefix) / "bin" / "fraud")
SERVICES = ("postgres", "objectstore", "kafka", "redis", "mlflow", *COMPONENTS, "tiles")
HEALTHY_SECONDS = 150.0


@dataclass(frozen=True, slots=True)
class Checkout:
    """A second checkout on this machine."""

    root: Path
    offset: int

    @property
    def layout(self) -> Layout:
        """Its paths and ports."""
        return Layout(self.root, self.offset)

    @property
    def context(self) -> Context:
        """Its stack as last started."""
        return open_context(self.root, {})

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a shell in it."""
        offset = str(self.offset)
        # A library that a test used before may have left an address behind, as MLflow does.
        outside = {name: value for name, value in os.environ.items() if name not in VARIABLES}
        return {**outside, "FRAUD_HOME": str(self.root), "FRAUD_PORT_OFFSET": offset}

    def fraud(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command in it."""
        return subprocess.run(
            [FRAUD, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )

    def status(self) -> dict[str, ServiceStatus]:
        """Every service as `fraud status` sees it."""
        return {row.service.name: row for row in stack_status(self.context)}


def make_checkout(root: Path) -> Checkout:
    """What a clone holds, with the jars that were fetched before."""
    for name in ("config", "env", "dags", "plugins"):
        shutil.copytree(CHECKOUT / name, root / name)
    shutil.copy(CHECKOUT / "init-multiple-dbs.sh", root)
    (root / ".fraud").mkdir()
    (root / ".fraud" / "jars").symlink_to(CHECKOUT / ".fraud" / "jars")
    return Checkout(root, free_offset())


def free_offset() -> int:
    """An offset at which nothing listens."""
    for offset in random.Random().sample(range(2_000, 20_000), 100):
        if not holders({port + offset for port in BASE_PORTS.values()}):
            return offset
    raise AssertionError("no free ports")


def await_condition(
    condition: Callable[[], bool], what: str, seconds: float = HEALTHY_SECONDS
) -> None:
    """Wait until it holds, or fail at the deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(1.0)  # a look at every service costs the machine a tenth of a second


def unhealthy(checkout: Checkout) -> dict[str, str]:
    """What does not answer as it should, and why."""
    rows = checkout.status()
    return {
        name: f"{rows[name].state} {rows[name].problem}"
        for name in SERVICES
        if rows[name].state != "healthy"
    }
