"""`fraud demo`: the whole loop, shown."""

import typer


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
