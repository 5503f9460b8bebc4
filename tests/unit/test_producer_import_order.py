"""Sorting on disk, and knowing what a topic already holds."""

import random
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producer.partition import partition_of
from producer.table_order import SortedRuns
from producer.table_resume import Standing


def runs_of(folder: Path, times: list[int], *, batch: int) -> SortedRuns:
    """Runs of at most four rows, read in windows of about three."""
    runs = SortedRuns(folder, "time", run_rows=4, window_rows=3)
    for start in range(0, len(times), batch):
        part = times[start : start + batch]
        rows = list(range(start, start + len(part)))
        runs.add(pa.table({"time": pa.array(part, pa.int64()), "row": pa.array(rows, pa.int64())}))
    return runs


def read(
    runs: SortedRuns, start: int | None = None, end: int | None = None
) -> list[tuple[int, int]]:
    """(time, row) of every row in the order in which windows give them."""
    return [
        pair
        for table in runs.windows(start, end)
        for pair in zip(table["time"].to_pylist(), table["row"].to_pylist(), strict=True)
    ]


@settings(deadline=None, max_examples=40)
@given(
    times=st.lists(st.integers(0, 12), max_size=40),
    batch=st.integers(1, 9),
    start=st.integers(0, 12),
    length=st.integers(0, 12),
)
def test_windows_are_the_sorted_rows_whatever_the_batches(
    tmp_path_factory: pytest.TempPathFactory, times: list[int], batch: int, start: int, length: int
) -> None:
    """Any input order and batching gives the same rows by (time, row), cut at both ends."""
    runs = runs_of(tmp_path_factory.mktemp("runs"), times, batch=batch)
    everything = sorted((time, row) for row, time in enumerate(times))
    assert read(runs) == everything
    end = start + length
    wanted = [pair for pair in everything if start <= pair[0] < end]
    assert read(runs, start, end) == wanted
    assert runs.count(start, end) == len(wanted)
    assert runs.span() == ((min(times), max(times)) if times else None)


def test_a_window_is_bounded_when_times_differ(tmp_path: Path) -> None:
    """Memory holds about one window of each run, not the whole table."""
    times = random.Random(1).sample(range(1_000), 400)
    runs = runs_of(tmp_path, times, batch=50)
    assert max(len(table) for table in runs.windows()) <= 8 * 3 * 7


KEYS = [f"c{number}" for number in range(40)]


def test_a_record_is_there_when_its_partition_has_passed_it() -> None:
    """Each partition is judged by its own last record, ties in time by the row."""
    standing = Standing(4, {0: (100, 7), 1: (50, 3), 2: (100, 9), 3: (100, 9)})
    for key in KEYS:
        last = standing.last[partition_of(key.encode(), 4)]
        assert standing.has(key, last)
        assert not standing.has(key, (last[0], last[1] + 1))
        assert standing.has(key, (last[0] - 1, 99))
        assert not standing.has(key, (last[0] + 1, 0))


def test_nothing_is_there_on_a_partition_without_a_record() -> None:
    """A partition that the import never reached lacks everything, even its oldest record."""
    standing = Standing(4, {0: (100, 7)})
    for key in KEYS:
        assert standing.has(key, (1, 1)) == (partition_of(key.encode(), 4) == 0)
    assert not Standing(4, {}).has("c1", (1, 1))
