"""`fraud dlq`: unreadable messages, why they were refused, and another try."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from inference.dead_letters import DeadLetter

Number = Annotated[str, typer.Argument(help="A dead letter as `list` names it: partition:offset.")]


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    group = typer.Typer(help="Messages that could not be read.", no_args_is_help=True)
    group.command("list")(show_all)
    group.command("show")(show_one)
    group.command("replay")(replay)
    app.add_typer(group, name="dlq")


def show_all(
    newest: Annotated[int, typer.Option(min=1, help="At most so many per partition.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """List the newest dead letters and count them by reason."""
    from rich.console import Console

    from cli.root import settings
    from inference.dead_letters import read_letters

    letters = list(read_letters(settings().kafka, newest))
    if as_json:
        for letter in letters:
            typer.echo(letter.rejected.model_dump_json())
        return
    console = Console()
    _print_table(console, letters)
    counts = Counter(letter.rejected.error_code for letter in letters)
    console.print(", ".join(f"{count} {code}" for code, count in sorted(counts.items())) or "none")


def _print_table(console: "Console", letters: "list[DeadLetter]") -> None:
    from rich.table import Table

    table = Table("number", "source", "reason", "message", "begins")
    for letter in letters:
        source = letter.rejected.source
        table.add_row(
            letter.number,
            f"{source.topic}-{source.partition}:{source.offset}",
            letter.rejected.error_code,
            letter.rejected.error_message[:80],
            repr(letter.raw[:30]),
        )
    console.print(table)


def show_one(number: Number) -> None:
    """Show one dead letter with all of its bytes."""
    from cli.root import settings
    from inference.dead_letters import find_letter

    letter = find_letter(settings().kafka, number)
    source = letter.rejected.source
    typer.echo(f"source   {source.topic}-{source.partition} offset {source.offset}")
    typer.echo(f"reason   {letter.rejected.error_code}: {letter.rejected.error_message}")
    typer.echo(f"key      {letter.key!r}")
    typer.echo(f"bytes    {len(letter.raw)}")
    typer.echo(letter.raw.decode("utf-8", "backslashreplace"))


def replay(
    number: Number,
    file: Annotated[
        Path | None,
        typer.Option(help="Send this file's bytes instead.", exists=True, dir_okay=False),
    ] = None,
) -> None:
    """Send a dead letter, or its mended bytes, to its topic again."""
    from cli.root import settings
    from inference.dead_letters import find_letter, replay_letter

    kafka = settings().kafka
    letter = find_letter(kafka, number)
    replay_letter(kafka, letter, file.read_bytes() if file else None)
    typer.echo(f"sent to {letter.rejected.source.topic}; it will be decided or refused anew")
