"""`fraud produce`: the synthetic world onto Kafka."""

import typer


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
