"""`fraud stream`: the Spark job and the direct consumer."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from cli import dead_letters
from cli.signals import stop_on_signals


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

    _log_to_stderr()
    configured = settings()
    state = checkout_root() / ".fraud"
    options = StreamOptions(
        checkpoint=checkpoint or state / "data" / "stream" / "checkpoint",
        jars=state / "jars" / "spark",
        master=master or configured.spark.master,
        trigger_seconds=configured.spark.trigger_seconds if trigger < 0 else trigger,
        starting=starting or configured.spark.starting,
        metrics_port=configured.spark.ui_port + 50 if metrics_port < 0 else metrics_port or None,
    )
    run_stream(configured, options, stop_on_signals())


def direct(
    group: Annotated[str, typer.Option(help="Consumer group; default: KAFKA_GROUP_ID.")] = "",
    starting: Annotated[
        str, typer.Option(help="For a new group: latest, snapshot, or JSON offsets.")
    ] = "snapshot",
    transactional: Annotated[
        bool, typer.Option(help="Answers and offsets in one Kafka transaction; some ms slower.")
    ] = False,
) -> None:
    """Decide every transaction without Spark, in milliseconds, until stopped."""
    from cli.root import settings
    from inference.direct import DirectOptions, run_direct

    _log_to_stderr()
    configured = settings()
    options = DirectOptions(group or configured.kafka.group_id, starting, transactional)
    run_direct(configured, options, stop_on_signals())


def _log_to_stderr() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("py4j").setLevel(logging.WARNING)
