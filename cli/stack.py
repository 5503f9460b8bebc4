"""Commands for the local stack: doctor, up, down, status, logs."""

import typer


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
