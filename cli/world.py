"""`fraud world`: what the synthetic world is like."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.root import checkout_root, settings

if TYPE_CHECKING:
    from producer.hardness import Hardness
    from producer.hardness_sample import Sample

world = typer.Typer(help="What the synthetic world is like.", no_args_is_help=True)
_RARE_FRAUD = 0.001
_HANDBOOK_DAYS = 45
_TUTORIAL_ROWS = 100_000


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.add_typer(world, name="world")


@world.command()
def report(
    out: Annotated[
        Path | None, typer.Option(help="Folder for world.html and world.json.", file_okay=False)
    ] = None,
    handbook: Annotated[
        Path | None,
        typer.Option(help="The Handbook's transactions; by default those beside the checkout."),
    ] = None,
) -> None:
    """Measure how hard fraud is to see in this world, beside other worlds.

    Works from the seed, without Kafka: the settings' world, the same with 0.1 % fraud, a tutorial's
    generator, and the Fraud-Detection-Handbook's simulation if its file is there.
    """
    import orjson

    from producer.hardness_page import page

    reports = []
    typer.echo("making this world's transactions")
    for sample in _samples(handbook):
        typer.echo(f"measuring {sample.name}: {len(sample.truth):,} transactions")
        reports.append(measured(sample))
        typer.echo(_line(reports[-1]))
    folder = out or checkout_root() / ".fraud" / "reports"
    folder.mkdir(parents=True, exist_ok=True)
    options = orjson.OPT_INDENT_2
    (folder / "world.json").write_bytes(orjson.dumps([r.as_json() for r in reports], None, options))
    (folder / "world.html").write_text(page(reports), encoding="utf-8")
    typer.echo(f"written: {folder / 'world.html'} and world.json")


def _samples(handbook: Path | None) -> Iterator[Sample]:
    """The worlds to compare, one at a time: each is large."""
    import time

    from cli.demo import HANDBOOK_FILE
    from producer.hardness_sample import handbook_sample, tutorial_sample, world_sample
    from producer.spec import fresh_start_day, spec_from
    from producer.table_spec import load_mapping
    from producer.world import World

    wanted, kafka = settings().world, settings().kafka
    spec = spec_from(wanted, fresh_start_day(wanted, time.time_ns() // 1000))
    yield world_sample("this world", World(spec), wanted.backfill_days, kafka)
    rare = World(replace(spec, fraud_rate=_RARE_FRAUD))
    yield world_sample("with 0.1 % fraud", rare, wanted.backfill_days, kafka)
    yield tutorial_sample(_TUTORIAL_ROWS, wanted.seed)
    found = handbook or checkout_root() / HANDBOOK_FILE
    if handbook is not None or found.exists():
        mapping = load_mapping(checkout_root() / "config" / "mappings" / "handbook.yaml")
        yield handbook_sample(found, mapping, _HANDBOOK_DAYS)


def measured(sample: Sample) -> Hardness:
    """Measure a sample with the features that a model is trained on, its labels included."""
    from models.build import platform_features
    from producer.hardness import measure

    plan = platform_features()
    return measure(sample, plan.names, plan.replay(sample.events, sample.labels).values)


def _line(found: Hardness) -> str:
    return (
        f"{found.name}: fraud rate {found.fraud_rate:.4f}, best raw field "
        f"{found.max_raw_field_ap:.3f} AP, reference model {found.reference_ap_no_history:.3f} "
        f"without and {found.reference_ap_with_history:.3f} with history"
    )
