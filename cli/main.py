"""Assembles the `fraud` command; a known problem becomes one line and an exit code."""

import sys

import typer
from rich.console import Console

from cli import (
    demo,
    explain,
    features,
    imports,
    models,
    produce,
    stack,
    stream,
)
from contracts.errors import FraudError

app = typer.Typer(
    help="Fraud detection on Kafka: features, learning and streaming decisions.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for room in (stack, demo, produce, imports, features, models, stream, explain):
    room.register(app)


def main() -> None:
    """Run a command; a known problem is one message on stderr and exit code 2."""
    try:
        app()
    except FraudError as error:
        Console(stderr=True).print(f"[bold red]Error:[/] {error}", soft_wrap=True, highlight=False)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
