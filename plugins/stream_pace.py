"""The stream's trigger interval and batch limit, kept for its next start."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plugins.run_settings import checkout_home

PACE = {
    "trigger_seconds": "STREAM_TRIGGER_SECONDS",
    "max_offsets_per_trigger": "STREAM_MAX_OFFSETS",
}
"""Param to the variable that the stream's settings read."""


def keep_pace(params: Mapping[str, Any]) -> dict[str, str]:
    """Write what the form says to the file that the stream reads when it starts.

    A null param falls back to the configured value, so an empty form undoes earlier ones.

    Raises:
        SettingsError: FRAUD_HOME is not set.
    """
    from contracts.settings import STREAM_ENV

    chosen = {
        variable: str(params[name])
        for name, variable in PACE.items()
        if params.get(name) is not None
    }
    _replace(checkout_home() / STREAM_ENV, chosen)
    return chosen


def _replace(path: Path, values: Mapping[str, str]) -> None:
    """Through a temporary file: a stream that starts meanwhile reads the old or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    partial.replace(path)
