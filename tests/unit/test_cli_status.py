"""What is wrong with the stream stands below the services, in words and with the remedy."""

import io

from rich.console import Console

from cli.stack_views import conditions_table
from inference.conditions import Condition


def test_each_condition_has_its_line() -> None:
    """Who says it, what it is, how to mend it; brackets in an error are shown as they are."""
    shown = io.StringIO()
    conditions = [
        Condition("stream", "no champion yet", "Train one"),
        Condition("kafka", "topics are missing (got [bold])", "Create it"),
    ]
    Console(file=shown, width=120).print(conditions_table(conditions))
    lines = [line.split("  ") for line in shown.getvalue().splitlines()[1:]]
    assert [[word.strip() for word in line if word.strip()] for line in lines] == [
        ["stream", "no champion yet", "Train one"],
        ["kafka", "topics are missing (got [bold])", "Create it"],
    ]
