"""`fraud evaluate`: a user's own table through the whole protocol, with progress."""

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from contracts.settings import Settings


def evaluate_file(
    settings: Settings,
    file: Path,
    mapping: Path,
    report: Path,
    arm_names: Sequence[str],
    console: Console,
) -> None:
    """Read the table by its mapping, run the protocol, print the figures as JSON.

    Raises:
        DataError: the file or the mapping cannot be read.
        TrainingError: the table cannot support learning.
    """
    import pyarrow as pa

    from models.arms import plan_arms
    from models.build import platform_features
    from models.offline import evaluate_offline
    from producer.table_mapping import read_events
    from producer.table_spec import load_mapping

    spec = load_mapping(mapping)
    arms = plan_arms(arm_names, settings.learning)
    with console.status("reading the table") as status:
        labelled = pa.concat_tables(list(read_events(file, spec))).combine_chunks()

        def say(text: str) -> None:
            console.log(text, highlight=False)
            status.update(text)

        result = evaluate_offline(settings, labelled, platform_features(), arms, report, say)
    console.print(f"report: {report / 'model_card.md'}", highlight=False)
    console.print_json(json.dumps(result.tree))
