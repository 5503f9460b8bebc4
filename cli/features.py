"""Commands on feature state: replay, rebuild-state, tiles, audit."""

import typer


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
