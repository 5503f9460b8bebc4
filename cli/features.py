"""Commands on feature state and served features."""

import json
from pathlib import Path
from typing import Annotated

import typer

from cli.root import settings


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.command("rebuild-state")(rebuild_state)
    app.command("replay")(replay)
    app.command("audit")(audit)


def rebuild_state() -> None:
    """Build the feature state of every partition again, from Kafka alone, to the topic's end."""
    from rich.progress import Progress

    from contracts.kafka import full_ranges
    from features import serving

    known = settings()
    spans = full_ranges(known.kafka, known.kafka.topic)
    with Progress() as progress:
        task = progress.add_task("Folding transactions", total=sum(s.end - s.start for s in spans))
        serving.rebuild_state(
            known,
            serving.make_store(known),
            spans,
            lambda count: progress.advance(task, count),
        )


def replay(
    output: Annotated[Path, typer.Argument(help="Folder for the Parquet files")],
    workers: Annotated[int, typer.Option(min=1, help="Partitions at a time")] = 2,
) -> None:
    """Compute the features of every transaction in Kafka; a second run writes only what is left."""
    from rich.progress import Progress

    from contracts.kafka import full_ranges
    from features.replay_job import replay_topic

    known = settings()
    spans = full_ranges(known.kafka, known.kafka.topic)
    with Progress() as bar:
        task = bar.add_task("Replaying", total=sum(span.end - span.start for span in spans))
        total = replay_topic(
            known.kafka,
            spans,
            output,
            workers=workers,
            progress=lambda count: bar.advance(task, count),
        )
    typer.echo(f"{total:,} events in {output}")


def audit(
    sample: Annotated[int, typer.Option(min=1, help="Decisions to recompute")] = 10_000,
    seed: Annotated[int, typer.Option(help="Which ones")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object")] = False,
) -> None:
    """Recompute the features of sampled decisions from Kafka; exit code 1 on any mismatch."""
    from dataclasses import asdict

    from features.audit import audit_decisions

    report = audit_decisions(settings(), sample, seed=seed)
    if as_json:
        typer.echo(json.dumps(asdict(report)))
    else:
        typer.echo(f"{report.checked:,} decisions recomputed, {report.mismatched:,} mismatches")
        for name, count in report.mismatches_by_feature.items():
            typer.echo(f"  {name}: {count:,}")
    if not report.is_clean:
        raise typer.Exit(1)
