"""Fits side by side: two processes of one thread each share one table on disk.

Threads of one fit wait for each other at every split; on two busy cores two fits at once take half
the time of one after the other.
"""

import multiprocessing
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from itertools import repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import TypeVar

import numpy as np
from handbook_data import Transactions
from handbook_windows import Floats

SIDE_BY_SIDE = 2
Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Part:
    """What a fit reads: rows, their features, and frauds of the card that were known by then."""

    rows: Transactions
    values: Floats
    known_before: Floats


class Pool:
    """Runs `function(part, job)` for jobs, two at a time; results come in the order of the jobs."""

    def __init__(self, part: Part) -> None:
        self._folder = TemporaryDirectory(prefix="fraud-handbook-")
        _save(part, Path(self._folder.name))
        self._executor = ProcessPoolExecutor(
            SIDE_BY_SIDE,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_keep,
            initargs=(self._folder.name,),
        )

    def __enter__(self) -> "Pool":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._executor.shutdown(cancel_futures=True)
        self._folder.cleanup()

    def map(self, function: Callable[[Part, Job], Result], jobs: Iterable[Job]) -> list[Result]:
        """One result per job; `function` is a module's own, so that processes can name it."""
        return list(self._executor.map(_call, repeat(function), jobs))


_PART: list[Part] = []
"""A worker process's part, put there once by `_keep`."""


def _save(part: Part, folder: Path) -> None:
    columns = {field.name: getattr(part.rows, field.name) for field in fields(part.rows)}
    np.savez(folder / "rows.npz", **columns)
    np.save(folder / "values.npy", part.values)
    np.save(folder / "known_before.npy", part.known_before)


def _keep(folder: str) -> None:
    with np.load(Path(folder) / "rows.npz") as columns:
        rows = Transactions(**{name: columns[name] for name in columns.files})
    values = np.load(Path(folder) / "values.npy", mmap_mode="r")
    _PART[:] = [Part(rows, values, np.load(Path(folder) / "known_before.npy"))]


def _call(function: Callable[[Part, Job], Result], job: Job) -> Result:
    return function(_PART[0], job)
