"""What is wrong with the stream stands below the services, in words and with the remedy."""

import io
import subprocess
import sys

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


PROBE = """
import sys
import cli.stack_views, inference.stream_state, stack.bring_up, stack.status
print(*{name.partition(".")[0] for name in sys.modules})
"""


def test_looking_loads_no_kernel_and_no_model_library() -> None:
    """The status of a stack is there at once (ADR 0003)."""
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    heavy = {"numba", "llvmlite", "pyarrow", "pandas", "sklearn", "xgboost", "mlflow", "pyspark"}
    assert not heavy & set(done.stdout.split())
