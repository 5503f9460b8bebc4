"""Fetches Spark's Kafka connector while the image is built; Kafka itself is another container."""

import shutil
import sys
from pathlib import Path

from stack.jars import fetch_jars
from stack.layout import Layout


def _say(message: str) -> None:
    sys.stderr.write(f"{message}\n")


def main() -> None:
    """Fetch into the image's own checkout and drop what only a broker needs."""
    layout = Layout(Path(__file__).resolve().parents[3])
    fetch_jars(layout, _say)
    shutil.rmtree(layout.jars / "kafka")
    shutil.rmtree(layout.jars / ".ivy", ignore_errors=True)


if __name__ == "__main__":
    main()
