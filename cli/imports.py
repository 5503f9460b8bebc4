"""`fraud import`: any transaction table onto Kafka."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.root import checkout_root, settings

if TYPE_CHECKING:
    from cli.live.phases import Phase, Phases
    from producer.table_import import ImportStatus
    from producer.table_plan import ImportOptions, ImportReport

Table = Annotated[Path, typer.Argument(help="A .csv or .parquet file.", metavar="FILE")]
MappingFile = Annotated[
    Path, typer.Option("--mapping", help="What its columns mean (YAML).", dir_okay=False)
]
Since = Annotated[
    str | None, typer.Option(help="Leave out what is older (date or time, UTC).", metavar="DATE")
]
Until = Annotated[
    str | None,
    typer.Option(help="Hold the rest back; a later run continues there.", metavar="DATE"),
]
LastDays = Annotated[float | None, typer.Option(help="Only the last days of the file.")]
Rejects = Annotated[
    Path | None, typer.Option(help="Where refused rows go. Default: FILE's name.rejects.jsonl.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check and count; publish nothing.")]
Limit = Annotated[int | None, typer.Option(help="Read only the first rows, for a try.")]
Rate = Annotated[float | None, typer.Option(help="Records per second. Default: no limit.")]
Speed = Annotated[float | None, typer.Option(help="Seconds of the file per second.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")]


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.command("import")(import_command)


def import_command(
    file: Table,
    mapping: MappingFile,
    since: Since = None,
    until: Until = None,
    last_days: LastDays = None,
    rejects: Rejects = None,
    dry_run: DryRun = False,
    limit: Limit = None,
    rate: Rate = None,
    speed: Speed = None,
    json: AsJson = False,
) -> None:
    """Publish a transaction table with its labels; run again, it continues where it stopped."""
    from producer.table_plan import ImportOptions

    options = ImportOptions(
        file=file,
        mapping=mapping,
        rejects=rejects or Path(f"{file.name}.rejects.jsonl"),
        since_us=_moment(since, "--since"),
        until_us=_moment(until, "--until"),
        last_days=last_days,
        limit=limit,
        rate=rate,
        speed=speed,
        dry_run=dry_run,
    )
    report = _run(options, is_quiet=json)
    _print(report, options.rejects, as_json=json)


def _moment(text: str | None, option: str) -> int | None:
    """Microseconds since the epoch of an ISO date or time; UTC unless it says otherwise."""
    from contracts.errors import DataError

    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise DataError(
            f"{option} is no date", value=text, remedy="Write 2018-09-30 or 2018-09-30T12:00"
        ) from error
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1_000_000)


def _run(options: ImportOptions, *, is_quiet: bool) -> ImportReport:
    """Import under the publisher's lock, with progress on stderr."""
    from rich.console import Console

    from cli.live.phases import Phases
    from cli.signals import terminate_as_interrupt
    from producer.lock import sole_publisher
    from producer.table_import import import_table

    terminate_as_interrupt()
    run_folder = checkout_root() / ".fraud" / "run"
    console = Console(stderr=True, quiet=is_quiet)
    shown = _ShownPhases(Phases(console, run_folder / "import_seconds.json"))
    try:
        with sole_publisher(run_folder / "producer.lock"), shown:
            return import_table(settings(), options, shown.show)
    except KeyboardInterrupt:
        console.print("Stopped. The same command continues where this one ended.")
        raise


class _ShownPhases:
    """Opens a phase on its first status and closes it when the next one begins."""

    def __init__(self, phases: Phases) -> None:
        self._phases = phases
        self._open = ExitStack()
        self._phase: Phase | None = None
        self._began = (0.0, 0)

    def __enter__(self) -> _ShownPhases:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.__exit__(*error)  # type: ignore[arg-type]

    def show(self, status: ImportStatus) -> None:
        """Tell rows, rate and, where the total is known, how much is done."""
        if self._phase is None or self._phase.name != status.phase:
            self._open.close()
            self._phase = self._open.enter_context(self._phases.phase(status.phase, 10.0))
            self._began = (self._phase.elapsed_seconds, status.done)
        seconds = self._phase.elapsed_seconds - self._began[0]
        rate = f", {(status.done - self._began[1]) / seconds:,.0f}/s" if seconds > 1 else ""
        total = "" if status.total is None else f" of {status.total:,}"
        fraction = status.done / status.total if status.total else None
        self._phase.update(f"{status.done:,}{total} rows{rate}", fraction)


def _print(report: ImportReport, rejects: Path, *, as_json: bool) -> None:
    if as_json:
        typer.echo(dumps(report.as_dict()))
    else:
        for count, meaning in _lines(report, rejects):
            typer.echo(f"{count:>12,}  {meaning}")
    if not report.is_exact and report.is_complete:
        raise typer.Exit(1)


def _lines(report: ImportReport, rejects: Path) -> list[tuple[int, str]]:
    """Every count with its meaning; what is zero only when it says something."""
    left = report.rows_to_publish - report.rows_already_there - report.rows_published
    pace = f" in {report.seconds:.1f} s" if report.rows_published else ""
    optional = [
        (report.rows_rejected, f"refused, with the reasons in {rejects}"),
        (report.rows_before_since, "older than asked for"),
        (report.rows_held_back, "held back for a later run"),
        (report.rows_already_there, "on Kafka before"),
        (left, "to publish"),
        (report.labels_already_there, "labels on Kafka before"),
        (report.labels_held_back, "labels not known yet at the end of this selection"),
    ]
    return [
        (report.rows_read, "rows read"),
        *(line for line in optional if line[0]),
        (report.rows_published, f"published as transactions{pace}"),
        (report.labels_published, "labels published"),
    ]
