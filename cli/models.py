"""`fraud models` and `fraud evaluate`: the registry from the command line."""

import getpass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cli.model_views import comparison_table, history_table, versions_table
from cli.root import settings

models_app = typer.Typer(help="Model versions: list, compare, promote, roll back.")

Why = Annotated[str, typer.Option(help="Kept in the history.")]
Who = Annotated[str | None, typer.Option(help="Kept in the history; default: the login name.")]


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.add_typer(models_app, name="models")
    app.command("evaluate")(evaluate)


@models_app.command("list")
def list_versions() -> None:
    """Show every version with its aliases, gate verdict and figures."""
    from models.listing import list_versions as listed

    Console().print(versions_table(listed(settings())))


@models_app.command()
def compare(first: str, second: str) -> None:
    """Put two versions (or aliases) side by side: arms, figures with intervals, gate."""
    from models.listing import describe_version

    known = settings()
    Console().print(comparison_table(*(describe_version(known, v) for v in (first, second))))


@models_app.command()
def promote(version: str, why: Why = "by hand", who: Who = None) -> None:
    """Make a version champion; the stream takes it over between two batches."""
    from models import steps

    moved = steps.promote(settings(), version, who or getpass.getuser(), why)
    _say_moved(moved["version"], moved["previous"], changed=moved["changed"])


@models_app.command()
def rollback(why: Why = "by hand", who: Who = None) -> None:
    """Make the previous champion champion again."""
    from models import steps

    moved = steps.rollback(settings(), who or getpass.getuser(), why)
    _say_moved(moved["version"], moved["previous"], changed=moved["changed"])


def _say_moved(version: str, previous: str | None, *, changed: bool) -> None:
    before = f" (before: version {previous})" if previous else ""
    text = f"version {version} is champion{before}"
    Console().print(text if changed else f"{text}; it already was", highlight=False)


@models_app.command()
def history() -> None:
    """Show who moved the champion, when and why; moves made in MLflow itself are noticed."""
    from models.promotion import history as moves

    Console().print(history_table(moves(settings())))


def evaluate(
    file: Annotated[Path, typer.Argument(help="A labelled transaction table, CSV or Parquet.")],
    mapping: Annotated[
        Path, typer.Option(help="What its columns mean; see config/mappings.", dir_okay=False)
    ],
    report: Annotated[Path, typer.Option(help="Folder for report and figures.", file_okay=False)],
    arms: Annotated[str, typer.Option(help="Arms to compare, comma-separated.")] = "",
    maturity_days: Annotated[
        int | None,
        typer.Option(help="Days until labels can be trusted; default: as configured.", min=1),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Read only the first N rows.", min=1)] = None,
) -> None:
    """Run the whole protocol offline on your own labelled transactions; no servers needed."""
    from cli.offline import OfflineOrder, evaluate_file, with_maturity

    names = [name for name in arms.split(",") if name]
    order = OfflineOrder(file, mapping, report, names, limit)
    known = with_maturity(settings(), maturity_days)
    evaluate_file(known, order, Console(stderr=True), Console())
