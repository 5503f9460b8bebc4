"""The stream's trigger interval and batch limit, kept for its next start."""

from collections.abc import Mapping
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
    from contracts.stream_env import write_stream_env

    chosen = {
        variable: str(params[name])
        for name, variable in PACE.items()
        if params.get(name) is not None
    }
    write_stream_env(checkout_home(), chosen)
    return chosen
