"""Commands on feature state and served features."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.root import settings

if TYPE_CHECKING:
    from rich.progress import Progress

    from contracts.kafka import OffsetRange
    from contracts.settings import Settings
    from features.history import History
    from features.recompute import Topics

    Source = tuple[Topics, History, list[OffsetRange]]


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.command("tiles")(tiles)
    app.command("rebuild-state")(rebuild_state)
    app.command("replay")(replay)
    app.command("audit")(audit)


def tiles(
    metrics_port: Annotated[
        int, typer.Option(help="Of the metrics page; 0: none; below: Spark UI's + 51.")
    ] = -1,
) -> None:
    """Fold transactions and labels of all partitions into cross-card tiles, until stopped."""
    import logging

    from cli.signals import stop_on_signals
    from contracts.kafka import partition_counts, refuse_topics
    from features.tile_run import run_tiles
    from inference.topic_watch import watched_topics
    from stack.layout import beside_spark

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    configured = settings()
    beside = beside_spark("tiles-metrics", configured.spark.ui_port)
    kafka, stop = configured.kafka, stop_on_signals()
    with watched_topics(lambda: refuse_topics(kafka, partition_counts(kafka)), stop):
        run_tiles(configured, stop, beside if metrics_port < 0 else metrics_port or None)


def rebuild_state() -> None:
    """Build cards' state and tiles again, from Kafka alone, to the topics' ends."""
    from rich.progress import Progress

    from contracts.kafka import full_ranges
    from features import serving
    from features.tile_run import rebuild_tiles

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
        task = progress.add_task("Folding tiles across cards", total=None)
        rebuild_tiles(known, lambda count: progress.advance(task, count))


def replay(
    output: Annotated[Path, typer.Argument(help="Folder for the Parquet files")],
    workers: Annotated[int, typer.Option(min=1, help="Partitions at a time")] = 2,
    snapshot: Annotated[str, typer.Option(help="URI of a snapshot's manifest")] = "",
) -> None:
    """Compute the features of every transaction in Kafka, or in a snapshot.

    A second run writes only what is left, and what the topic has got since.
    """
    from rich.progress import Progress

    from features.replay_job import replay_history

    known = settings()
    with Progress() as bar:
        source = _snapshot(known, snapshot, bar) if snapshot else _whole_topic(known)
        topics, history, spans = source
        events = sum(span.end - span.start for span in spans)
        folding = bar.add_task("Folding tiles across cards", total=events)
        task = bar.add_task("Replaying", total=events)
        total = replay_history(
            topics,
            history,
            spans,
            output,
            workers=workers,
            folded=lambda count: bar.advance(folding, count),
            progress=lambda count: bar.advance(task, count),
        )
    typer.echo(f"{total:,} events in {output}")


def _whole_topic(known: "Settings") -> "Source":
    from contracts.kafka import full_ranges
    from features.history import KafkaHistory
    from features.recompute import WholeTopics

    spans = full_ranges(known.kafka, known.kafka.topic)
    return WholeTopics(known.kafka), KafkaHistory(known.kafka), spans


def _snapshot(known: "Settings", uri: str, bar: "Progress") -> "Source":
    from models.snapshot import load_manifest
    from models.snapshot_history import SnapshotHistory

    manifest = load_manifest(known, uri)
    topics = (known.kafka.topic, known.kafka.labels_topic)
    task = bar.add_task("Reading offsets", total=sum(manifest.part(t).rows for t in topics))
    held = SnapshotHistory.opened(known, manifest, lambda count: bar.advance(task, count))
    return held, held, held.spans()


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
