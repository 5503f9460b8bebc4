"""`fraud import`: any transaction table onto Kafka."""

import typer


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
