"""Settings of the stream's next start, over the configured ones."""

from collections.abc import Mapping
from pathlib import Path

from contracts.settings import STREAM_ENV


def write_stream_env(root: Path, values: Mapping[str, str]) -> None:
    """Keep variables for the next start of the stream of the checkout at `root`; none undoes all.

    Through a temporary file: a stream that starts meanwhile reads the old or the new one.
    """
    path = root / STREAM_ENV
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    partial.replace(path)
