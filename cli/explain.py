"""`fraud explain`: one decision told as a story."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.command("explain")(explain)


def explain(
    transaction_id: Annotated[str, typer.Argument(help="A transaction that was decided.")],
) -> None:
    """Rebuild a decision from Kafka and the registry, and say why it was made."""
    from rich.console import Console

    from cli.root import settings
    from inference.explain import tell

    story = tell(settings(), transaction_id)
    Console().print(story)
    if not story.features_equal or story.score_equal is False:
        raise typer.Exit(1)
