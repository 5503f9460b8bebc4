"""How long the stack takes to start, and the demo to its first live decision.

Works in a scratch checkout: the databases are made once (that start is not counted), then the whole
demo runs on empty topics: start, backfill, training in Airflow, promotion, streaming. Your own data
is not touched; your own stack must be down, because both would share the processors.

    python benchmarks/cold_start.py

Last line: {"up_seconds", "first_decision_seconds", "pss_mb", …}; times in seconds of wall clock,
memory as proportional set size of every process of the stack, Spark included, in megabytes.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stack.bring_up import wanted_layout
from stack.jars import fetch_jars
from stack.processes import strays

CHECKOUT = Path(__file__).resolve().parent.parent
FRAUD = str(Path(sys.prefix) / "bin" / "fraud")
LIVE_SECONDS = 30
FIGURES = ("up_seconds", "first_decision_seconds", "pss_mb", "ok")


@contextmanager
def scratch_checkout() -> Iterator[Path]:
    """A checkout with this one's code and jars, and no data; its stack ends with the block."""
    with tempfile.TemporaryDirectory(prefix="cold-start-") as folder:
        root = Path(folder)
        for name in ("config", "env", "dags", "plugins"):
            shutil.copytree(CHECKOUT / name, root / name)
        shutil.copy(CHECKOUT / "init-multiple-dbs.sh", root)
        (root / ".fraud").mkdir()
        (root / ".fraud" / "jars").symlink_to(CHECKOUT / ".fraud" / "jars")
        try:
            yield root
        finally:
            fraud(root, "down")


def fraud(root: Path, *arguments: str) -> str:
    """Run the command in the scratch checkout with its progress on stderr; its standard output."""
    print(f"$ fraud {' '.join(arguments)}", file=sys.stderr, flush=True)
    environment = {**os.environ, "FRAUD_HOME": str(root)}
    output = None if arguments[0] == "up" else subprocess.PIPE
    result = subprocess.run(
        [FRAUD, *arguments], env=environment, stdout=output, text=True, check=False
    )
    if result.returncode not in (0, 1):
        sys.exit(result.returncode)
    return result.stdout or ""


def measure(root: Path) -> dict[str, Any]:
    """The demo's own figures, after one start and stop that made the databases."""
    fraud(root, "up")
    fraud(root, "down")
    summary = json.loads(fraud(root, "demo", "--seconds", str(LIVE_SECONDS), "--json"))
    return {name: summary[name] for name in FIGURES}


def main() -> None:
    """Refuse a busy machine, measure, print one JSON object."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    if strays(wanted_layout(CHECKOUT)):
        sys.exit("Your stack is running and would be measured too: `fraud down` first")
    fetch_jars(wanted_layout(CHECKOUT), say=print)
    with scratch_checkout() as root:
        figures = measure(root)
    print(json.dumps(figures | {"cpus": os.cpu_count(), "live_seconds": LIVE_SECONDS}))


if __name__ == "__main__":
    main()
