"""`fraud stream`: the Spark job and the direct consumer; `fraud dlq`."""

import typer


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
