"""Sorts more rows than memory holds: sorted runs on disk, merged in windows of time."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

RUN_ROWS = 500_000
WINDOW_ROWS = 50_000


@dataclass(slots=True)
class SortedRuns:
    """Rows with an int64 time column and a `row` column, to be read back by (time, row).

    `folder` is scratch space. Memory holds one run while writing; while reading, about a window of
    each run, since the files are mapped.
    """

    folder: Path
    time_column: str
    run_rows: int = RUN_ROWS
    window_rows: int = WINDOW_ROWS
    _pending: list[pa.Table] = field(default_factory=list)
    _files: list[Path] = field(default_factory=list)

    def add(self, table: pa.Table) -> None:
        """Take rows in any order."""
        if len(table):
            self._pending.append(table)
        if sum(map(len, self._pending)) >= self.run_rows:
            self._write_run()

    def _write_run(self) -> None:
        table = sort_by_time(pa.concat_tables(self._pending), self.time_column)
        path = self.folder / f"{self.time_column}-{len(self._files)}.arrow"
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table.combine_chunks())
        self._files.append(path)
        self._pending = []

    def windows(self, start_us: int | None = None, end_us: int | None = None) -> Iterator[pa.Table]:
        """Yield the rows with `start_us <= time < end_us` in order, in tables of bounded size."""
        runs = [_Run.cut(table, self.time_column, start_us, end_us) for table in self._open()]
        while any(run.left for run in runs):
            bound = min(run.bound(self.window_rows) for run in runs if run.left)
            parts = [run.take_to(bound) for run in runs if run.left]
            yield sort_by_time(pa.concat_tables(parts), self.time_column)

    def count(self, start_us: int | None = None, end_us: int | None = None) -> int:
        """How many rows `windows` would yield."""
        return sum(
            _Run.cut(table, self.time_column, start_us, end_us).left for table in self._open()
        )

    def span(self) -> tuple[int, int] | None:
        """The smallest and the largest time, or None without rows."""
        times = [table[self.time_column] for table in self._open()]
        if not times:
            return None
        return min(t[0].as_py() for t in times), max(t[-1].as_py() for t in times)

    def _open(self) -> list[pa.Table]:
        if self._pending:
            self._write_run()
        return [pa.ipc.open_file(pa.memory_map(str(path))).read_all() for path in self._files]


@dataclass(slots=True)
class _Run:
    """A sorted table and how far it is read."""

    table: pa.Table
    times: NDArray[np.int64]
    position: int
    end: int

    @classmethod
    def cut(cls, table: pa.Table, column: str, start_us: int | None, end_us: int | None) -> "_Run":
        times = table[column].to_numpy()
        start = 0 if start_us is None else int(np.searchsorted(times, start_us))
        end = len(times) if end_us is None else int(np.searchsorted(times, end_us))
        return cls(table, times, start, max(start, end))

    @property
    def left(self) -> int:
        return self.end - self.position

    def bound(self, rows: int) -> int:
        """The largest time that may be taken so that about `rows` rows come from this run."""
        return int(self.times[min(self.position + rows, self.end) - 1])

    def take_to(self, bound: int) -> pa.Table:
        stop = min(int(np.searchsorted(self.times, bound, side="right")), self.end)
        part = self.table.slice(self.position, stop - self.position)
        self.position = stop
        return part


def sort_by_time(table: pa.Table, column: str) -> pa.Table:
    """Rows by (time, row); already sorted ones stay as they are."""
    times, rows = table[column].to_numpy(), table["row"].to_numpy()
    before = (times[:-1] < times[1:]) | ((times[:-1] == times[1:]) & (rows[:-1] < rows[1:]))
    return table if bool(before.all()) else table.take(pa.array(np.lexsort((rows, times))))
