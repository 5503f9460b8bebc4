"""`fraud demo`: the whole loop, shown."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.root import checkout_root

if TYPE_CHECKING:
    from cli.live.sources import Source

LOG_WIDTH = 120
HANDBOOK_FILE = Path("..") / "shared" / "data" / "handbook_transactions.parquet"


class Data(StrEnum):
    """Which transactions the demo runs on."""

    WORLD = "world"
    HANDBOOK = "handbook"


Seconds = Annotated[
    float | None,
    typer.Option(help="End by itself after so many live seconds. Default: Ctrl-C.", min=1),
]
Json = Annotated[bool, typer.Option("--json", help="Print a summary in JSON on stdout at the end.")]
DataOption = Annotated[Data, typer.Option(help="The synthetic world, or the Handbook's table.")]
File = Annotated[Path | None, typer.Option(help="The Handbook's transactions (Parquet).")]
Keep = Annotated[bool, typer.Option("--keep", help="Leave the stack running at the end.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Forget this checkout's data first.")]


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.command()(demo)


def demo(
    seconds: Seconds = None,
    json: Json = False,
    data: DataOption = Data.WORLD,
    file: File = None,
    keep: Keep = False,
    fresh: Fresh = False,
) -> None:
    """Start, backfill, train in Airflow, promote, stream, and show what happens.

    Exit code 0 only if every check at the end held; 1 if one did not.
    """
    import orjson
    from rich.console import Console

    from cli.live.session import Demo, Options
    from cli.signals import terminate_as_interrupt
    from cli.tries import log_retries

    terminate_as_interrupt()
    log_retries()
    root = checkout_root()
    options = Options(seconds=seconds, keep=keep, fresh=fresh)
    console = Console(stderr=json)
    if not console.is_terminal:
        console.width = LOG_WIDTH
    summary = Demo(root, options, _source(root, data, file), console).run()
    if json:
        typer.echo(orjson.dumps(summary.as_json(), option=orjson.OPT_INDENT_2).decode())
    if not summary.ok:
        raise typer.Exit(1)


def _source(root: Path, data: Data, file: Path | None) -> Source:
    from cli.live.sources import HandbookSource, WorldSource

    if data is Data.WORLD:
        return WorldSource(root)
    return HandbookSource(root, file or root / HANDBOOK_FILE)
