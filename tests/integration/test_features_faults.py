"""Planted faults: each small wrong step in the kernel must be found by the parity check."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration  # a process for each fault, all of them busy

CHECKOUT = Path(__file__).resolve().parents[2]
CHECK = """
import numpy as np
import parity
import pyarrow as pa
from feature_world import World, make_events, make_labels

awkward = {"shifted": 0.2, "duplicates": 0.1, "equal_times": 0.2}
world = World(250, 3, merchants=2, days=40, partitions=1, **awkward)
table = make_events(world, 1)
for name in ("timestamp_us", "event_time"):  # whole ten minutes, so that edges are met exactly
    coarse = pa.array(table[name].to_numpy() // 600_000_000 * 600_000_000)
    table = table.set_column(table.schema.get_field_index(name), name, coarse)
parity.ORACLE_SHARE = 1.0
labels = make_labels(table, 2)
print(parity.against_oracle(table, labels, np.random.default_rng(0))[0])
"""
FAULTS = {
    "none": ("layout.py", "SMALL_AMOUNT = 500", "SMALL_AMOUNT = 500"),
    "a window edge off by one": (
        "windows.py",
        "memory[layout.M_TIME, start] <= edge",
        "memory[layout.M_TIME, start] < edge",
    ),
    "a float sum": (
        "windows.py",
        "sums[k, layout.A_SUM] = total",
        "sums[k, layout.A_SUM] = int(total / 100.0 * 0.1 * 1000)",
    ),
    "a label seen early": ("layout.py", "LABEL_DELAY = HOUR", "LABEL_DELAY = -DAY"),
    "a merchant tile read while open": ("layout.py", "TILE_DELAY = MINUTE", "TILE_DELAY = 0"),
    "a window of one tile too many": (
        "entity_replay.py",
        "(last - windows[k, 1]) * length",
        "(last - windows[k, 1] - 1) * length",
    ),
    "a rounded mean": ("windows.py", "= total / number", "= total // number"),
    "an event dated 2099": ("encoding.py", "time = min(own_ms,", "time = max(own_ms, 0 *"),
    "a duplicate that is remembered": ("kernel.py", "status & DUPLICATE == 0", "status >= 0"),
    "an event that sees later ones": (
        "kernel.py",
        "while position > first and memory[layout.M_TIME, position - 1] > time",
        "while False and position > first",
    ),
    "night in universal time": ("encoding.py", "minutes * layout.MINUTE", "minutes * 0"),
}


@pytest.fixture(scope="module")
def mismatches(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """The check's count for each fault, planted in a copy of the package; all run at once."""
    running = {}
    for number, (name, (module, right, wrong)) in enumerate(FAULTS.items()):
        folder = tmp_path_factory.mktemp(f"fault{number}")
        shutil.copytree(CHECKOUT / "features", folder / "features")
        source = (folder / "features" / module).read_text()
        assert source.count(right) == 1, f"the fault {name!r} does not fit {module}"
        (folder / "features" / module).write_text(source.replace(right, wrong))
        paths = os.pathsep.join(map(str, (folder, CHECKOUT / "benchmarks", CHECKOUT)))
        environment = os.environ | {"PYTHONPATH": paths, "NUMBA_DISABLE_JIT": "1"}
        running[name] = subprocess.Popen(
            [sys.executable, "-P", "-W", "ignore", "-c", CHECK],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
    return {name: int(process.communicate()[0]) for name, process in running.items()}


def test_the_right_kernel_has_no_mismatch(mismatches: dict[str, int]) -> None:
    """Without a fault the check finds nothing."""
    assert mismatches["none"] == 0


@pytest.mark.parametrize("fault", [name for name in FAULTS if name != "none"])
def test_a_planted_fault_is_found(mismatches: dict[str, int], fault: str) -> None:
    """With any of these faults the check finds mismatches."""
    assert mismatches[fault] > 0
