"""Commands on feature state: replay, rebuild-state, tiles, audit."""

import typer

from cli.root import settings


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.command("rebuild-state")(rebuild_state)


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
