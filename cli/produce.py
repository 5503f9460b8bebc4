"""`fraud produce`: the synthetic world onto Kafka."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from cli.root import checkout_root, settings
from cli.signals import stop_on_signals

if TYPE_CHECKING:
    from producer.pace import Pace
    from producer.run import Result, Run

produce = typer.Typer(help="Publish the synthetic world to Kafka.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.add_typer(produce, name="produce")


@produce.command()
def backfill() -> None:
    """Publish the world's past: world.backfill_days of transactions, labels and truth.

    Goes on where a stopped run ended; does nothing when everything is there.
    """
    from producer.pace import AtOnce
    from producer.publisher import BULK_LINGER_MS

    days = settings().world.backfill_days
    with _run(linger_ms=BULK_LINGER_MS) as run:
        if run.position.resume_day >= days:
            typer.echo(f"already there: the world has reached its day {run.position.resume_day}")
            return
        began = time.monotonic()
        result = run.publish(AtOnce(), total_days=days)
        _tell(result, time.monotonic() - began)
        if not result.is_complete:
            raise typer.Exit(130)


@produce.command()
def normal(
    time_lapse: Annotated[
        bool, typer.Option("--time-lapse", help="Run the world's clock faster than the wall clock.")
    ] = False,
    speed: Annotated[
        str | None, typer.Option(help="World seconds per second, such as 60x; implies time-lapse.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Records per second, instead of a clock.", min=0.001)
    ] = None,
) -> None:
    """Go on with the world from where the topic ends, until stopped.

    Without options the world moves in real time from where it stands. It never passes the wall
    clock: a time-lapse that has caught up goes on in real time. Outcomes and labels follow the
    decisions on the scores topic: what was declined is never charged back.
    """
    from producer.aftermath import open_aftermath
    from producer.publisher import LIVE_LINGER_MS

    with _run(linger_ms=LIVE_LINGER_MS) as run:
        pace = _pace(run, time_lapse, speed, rate)
        typer.echo("publishing; Ctrl-C or SIGTERM stops, a new start goes on from there")
        consequences = open_aftermath(settings().kafka, settings().policy, run.world)
        result = run.publish(pace, total_days=None, consequences=consequences)
        _tell(result, None)


@produce.command()
def hacker(
    days: Annotated[float, typer.Option(help="World days to steal for.", min=0.01)] = 7.0,
    cards_per_day: Annotated[
        float, typer.Option(help="Stolen cards bought per world day.", min=0.1, max=100_000)
    ] = 20.0,
    speed: Annotated[
        str | None, typer.Option(help="The world's speed; by default world.speed.")
    ] = None,
) -> None:
    """Attack the platform: an adaptive thief that learns from approve and decline.

    Runs beside `fraud produce normal` at the same speed, from where the world stands. Stops after
    the last of its labels; then says what it learned, won and spent (also as JSON in
    .fraud/reports).
    """
    import orjson

    from producer.hacker_report import report_on
    from producer.pace import TimeLapse, parse_speed
    from producer.raid import open_raid

    found, stop = settings(), stop_on_signals()
    raid = open_raid(found.kafka, found.world, days, cards_per_day)
    chosen = found.world.speed if speed is None else parse_speed(speed)
    typer.echo(f"the thief begins at {_date(raid.hacker.from_us)}; Ctrl-C ends it with its report")
    raid.run(TimeLapse(raid.hacker.from_us, chosen, _wall_us), stop)
    report = report_on(raid.hacker)
    path = (
        checkout_root() / ".fraud" / "reports" / f"hacker-{raid.hacker.from_us // 1_000_000}.json"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(report.as_json(), option=orjson.OPT_INDENT_2))
    for line in (*report.lines(), f"written: {path}"):
        typer.echo(line)


def _pace(run: Run, time_lapse: bool, speed: str | None, rate: float | None) -> Pace:
    from contracts.errors import SettingsError
    from producer.pace import SteadyRate, TimeLapse, parse_speed

    if rate is not None:
        if time_lapse or speed is not None:
            raise SettingsError("--rate and --speed exclude each other", value=rate)
        return SteadyRate(rate, _wall_us)
    lapse = settings().world.speed if time_lapse else 1.0
    chosen = lapse if speed is None else parse_speed(speed)
    return TimeLapse(run.world_us, chosen, _wall_us, _say_caught_up if chosen > 1 else None)


def _say_caught_up() -> None:
    typer.echo(
        "the world has caught up with the wall clock and goes on in real time, since no record may "
        "carry a future time; for another time-lapse start a fresh world: `make demo "
        "ARGS=--fresh`, or `fraud down --wipe`, `fraud up` and `fraud produce backfill`"
    )


@contextmanager
def _run(linger_ms: int) -> Iterator[Run]:
    """A run with its view and lock; Ctrl-C and SIGTERM set its stop."""
    from rich.console import Console

    from producer.lock import sole_publisher
    from producer.progress import open_view
    from producer.publisher import open_publisher
    from producer.run import Run, world_of

    kafka, world = settings().kafka, settings().world
    stop = stop_on_signals()
    with sole_publisher(checkout_root() / ".fraud" / "run" / "producer.lock"):
        spec = world_of(kafka, world, _wall_us())
        view = open_view(Console())
        try:
            yield Run(kafka, spec, open_publisher(kafka, linger_ms=linger_ms), view, stop)
        finally:
            view.close()


def _tell(result: Result, seconds: float | None) -> None:
    status = result.status
    pace = "" if not seconds else f" in {seconds:.1f} s, {status.transactions / seconds:,.0f}/s"
    typer.echo(
        f"{status.transactions:,} transactions and {status.others:,} labels and truths "
        f"sent{pace}; the world stands at {_date(status.world_us)}"
    )


def _date(world_us: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(world_us / 1e6))


def _wall_us() -> int:
    return time.time_ns() // 1000
