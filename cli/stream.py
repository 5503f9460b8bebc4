"""`fraud stream`: the Spark job and the direct consumer."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import dead_letters
from cli.signals import stop_on_signals

if TYPE_CHECKING:
    from contracts.settings import Settings
    from inference.notes import Life


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    group = typer.Typer(help="Decide transactions as they arrive.", no_args_is_help=True)
    group.command("run")(run)
    group.command("direct")(direct)
    app.add_typer(group, name="stream")
    dead_letters.register(app)


def run(
    master: Annotated[str, typer.Option(help="Spark master; default: the settings'.")] = "",
    trigger: Annotated[
        float, typer.Option(help="Seconds between batches; below 0: the settings'.")
    ] = -1.0,
    starting: Annotated[
        str,
        typer.Option(
            help="Without a checkpoint: latest, snapshot, champion (waits for one), or JSON "
            "offsets; default: the settings'."
        ),
    ] = "",
    checkpoint: Annotated[Path | None, typer.Option(help="Folder of Spark's checkpoint.")] = None,
    metrics_port: Annotated[
        int, typer.Option(help="Of the metrics page; 0: none; below: Spark UI's + 50.")
    ] = -1,
) -> None:
    """Decide every transaction with Spark until stopped."""
    from cli.root import checkout_root, settings
    from inference.spark_job import StreamOptions, run_stream
    from stack.layout import beside_spark

    _log_to_stderr()
    configured = settings()
    beside = beside_spark("stream-metrics", configured.spark.ui_port)
    state = checkout_root() / ".fraud"
    options = StreamOptions(
        checkpoint=checkpoint or state / "data" / "stream" / "checkpoint",
        jars=state / "jars" / "spark",
        master=master or configured.spark.master,
        trigger_seconds=configured.spark.trigger_seconds if trigger < 0 else trigger,
        starting=starting or configured.spark.starting,
        metrics_port=beside if metrics_port < 0 else metrics_port or None,
    )
    stop = stop_on_signals()
    with _watched(configured, "", stop) as life:
        run_stream(configured, options, stop, life)


def direct(
    group: Annotated[str, typer.Option(help="Consumer group; default: KAFKA_GROUP_ID.")] = "",
    starting: Annotated[
        str, typer.Option(help="For a new group: latest, snapshot, or JSON offsets.")
    ] = "snapshot",
    transactional: Annotated[
        bool, typer.Option(help="Answers and offsets in one Kafka transaction; some ms slower.")
    ] = False,
    metrics_port: Annotated[int, typer.Option(help="Of the metrics page; 0: none.")] = 0,
) -> None:
    """Decide every transaction without Spark, in milliseconds, until stopped."""
    from cli.root import settings
    from inference.direct import DirectOptions, run_direct
    from inference.pipelines import direct_pipeline

    _log_to_stderr()
    configured = settings()
    named = group or configured.kafka.group_id
    options = DirectOptions(named, starting, transactional, metrics_port or None)
    stop = stop_on_signals()
    with _watched(configured, direct_pipeline(named), stop) as life:
        run_direct(configured, options, stop, life)


@contextmanager
def _watched(configured: "Settings", pipeline: str, stop: threading.Event) -> Iterator["Life"]:
    """Refuse topics that do not fit, now and later; leave what happened where `status` looks."""
    from contracts.kafka import partition_counts, refuse_topics
    from inference.notes import shown_life
    from inference.pipelines import make_notes
    from inference.topic_watch import watched_topics

    kafka = configured.kafka
    with (
        shown_life(make_notes(configured, pipeline)) as life,
        watched_topics(lambda: refuse_topics(kafka, partition_counts(kafka)), stop),
    ):
        yield life


def _log_to_stderr() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("py4j").setLevel(logging.WARNING)
