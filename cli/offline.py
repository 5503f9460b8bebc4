"""`fraud evaluate`: a user's own table through the whole protocol, with progress."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from contracts.errors import DataError
from contracts.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class OfflineOrder:
    """What is evaluated: a table with its mapping, the arms, and where the report goes.

    `limit` reads only the file's first rows.
    """

    file: Path
    mapping: Path
    report: Path
    arm_names: Sequence[str]
    limit: int | None = None


def with_maturity(settings: Settings, days: int | None) -> Settings:
    """The settings with another maturity, if one is given."""
    if days is None:
        return settings
    learning = settings.learning.model_copy(update={"maturity_days": days})
    return settings.model_copy(update={"learning": learning})


def evaluate_file(settings: Settings, order: OfflineOrder, say: Console, out: Console) -> None:
    """Run the protocol; progress goes to `say`, the figures as JSON to `out`.

    Raises:
        DataError: the file or the mapping cannot be read, or no row of it is usable.
        TrainingError: the table cannot support learning.
    """
    from models.arms import plan_arms
    from models.build import platform_features
    from models.offline import evaluate_offline

    arms = plan_arms(order.arm_names, settings.learning)
    with say.status("reading the table") as status:

        def tell(text: str) -> None:
            say.print(text, highlight=False, soft_wrap=True)  # long lists stay one line in a log
            status.update(text)

        labelled = read_table(order, tell)
        result = evaluate_offline(settings, labelled, platform_features(), arms, order.report, tell)
    say.print(f"report: {order.report / 'model_card.md'}", highlight=False)
    out.print_json(json.dumps(result.tree, allow_nan=False))


def read_table(order: OfflineOrder, tell: Say) -> "pa.Table":
    """The table's usable rows in time order, after telling of those that are refused.

    Raises:
        DataError: the file or the mapping cannot be read, or no row is usable.
    """
    import pyarrow as pa

    from producer.table_mapping import read_events
    from producer.table_source import RejectedRow
    from producer.table_spec import load_mapping

    refused: list[RejectedRow] = []
    events = read_events(
        order.file, load_mapping(order.mapping), limit=order.limit, refused=refused.extend
    )
    tables = list(events)
    if refused:
        first = refused[0]
        tell(f"{len(refused):,} rows refused, the first is row {first.row}: {first.message}")
    if not tables:
        raise DataError(
            "no row of the table is usable",
            value=str(order.file),
            remedy="`fraud import FILE --mapping MAPPING --dry-run` writes every refusal to a file",
        )
    return pa.concat_tables(tables).combine_chunks()
