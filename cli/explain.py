"""`fraud explain`: one decision told as a story."""

import typer


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
