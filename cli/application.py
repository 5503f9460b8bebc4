"""Assembles the `fraud` command from the modules beside this one."""

import typer

from cli import (
    demo,
    explain,
    features,
    imports,
    models,
    produce,
    stack,
    stream,
    world,
)

app = typer.Typer(
    help="Fraud detection on Kafka: features, learning and streaming decisions.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for room in (stack, demo, produce, imports, features, models, stream, explain, world):
    room.register(app)
