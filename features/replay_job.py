"""All features of a topic or a snapshot as Parquet, partition by partition, in bounded memory.

First everybody's events are folded into tiles across cards. Then a partition is read in order in
tables of a fixed number of records and folded with its state in memory, so a process holds one
table, the compact states of one partition's cards, and the tiles. Each table
becomes one file, named by its offsets and written in one step; a file that is there is not written
again, so a job that was cut short goes on where it stopped (what it folds again costs seconds).
A topic that has grown fills up its last table: the file that held its beginning is replaced.
"""

import contextlib
import queue
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import Manager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from contracts.errors import DataError, ReplayError
from contracts.kafka import OffsetRange
from features.definition import FEATURE_SET
from features.engine import FeatureMatrix
from features.history import History
from features.recompute import Progress, Topics, refold
from features.serving import FeatureServer
from features.store import MemoryStateStore
from features.tile_reader import TileReader
from features.tile_store import TileStore

POLL_SECONDS = 0.2
KEYS = ("partition", "offset", "card_id", "transaction_id", "event_time", "amount_minor")
_FILE = re.compile(r"(\d{4,})-(\d{12,})-(\d{12,})\.parquet")


@dataclass(frozen=True, slots=True)
class NoPast:
    """A topic from its very beginning: there is nothing to catch up with."""

    def first_offset(self, partition: int) -> int:
        """See `History`."""
        return 0

    def read(self, partition: int, start: int, end: int) -> Iterator[pa.Table]:
        """See `History`."""
        return iter(())


def replay_history(
    topics: Topics,
    history: History,
    spans: Sequence[OffsetRange],
    folder: Path,
    *,
    workers: int,
    folded: Progress = lambda count: None,
    progress: Progress = lambda count: None,
) -> int:
    """Write the features of all spans' events below `folder`; the number of events.

    `topics` and `history` are of one source, Kafka or a snapshot, and can be sent to a process.
    Each span starts at its partition's first record. `folded` is told events as they are folded
    into tiles, `progress` then as they are done.

    Raises:
        BrokerError: Kafka does not answer, or retention deleted part of a span.
        ObjectStoreError: a file of the snapshot is missing or damaged.
        DataError: the folder holds features of another definition.
        ReplayError: a process was killed; the partitions that were not done are named.
    """
    refuse_foreign(folder)
    tiles, _ = refold(topics, 0, folded)
    # The manager ends first: who then still replays ends as it tells of its next table.
    with ProcessPoolExecutor(max_workers=workers) as pool, Manager() as manager:
        told = manager.Queue()
        jobs = {
            span.partition: pool.submit(replay_partition, history, span, folder, tiles, told.put)
            for span in spans
        }
        try:
            return _awaited(jobs, told, progress)
        except (BrokenProcessPool, EOFError, ConnectionError) as error:
            raise ReplayError(
                "a process of the replay was killed, perhaps for want of memory; "
                "these partitions are not done",
                value=[number for number, job in jobs.items() if not _has_result(job)],
                remedy="Run it again: it goes on where it stopped; fewer --workers need less",
            ) from error
        finally:
            for job in jobs.values():
                job.cancel()


def _awaited(jobs: Mapping[int, Future[int]], told: Any, progress: Progress) -> int:
    """The sum of all jobs' results; the first failure is raised at once."""
    while True:
        results = [job.result() for job in jobs.values() if job.done()]
        if len(results) == len(jobs) and told.empty():
            return sum(results)
        with contextlib.suppress(queue.Empty):
            progress(told.get(timeout=POLL_SECONDS))


def _has_result(job: Future[int]) -> bool:
    return job.done() and job.exception() is None


def replay_partition(
    history: History,
    span: OffsetRange,
    folder: Path,
    tiles: TileStore,
    progress: Progress = lambda count: None,
) -> int:
    """Replay one partition into `folder`; the number of its events. `tiles` are everybody's."""
    folder.mkdir(parents=True, exist_ok=True)
    server = FeatureServer(
        MemoryStateStore(), span.topic, history=NoPast(), tiles=TileReader(tiles)
    )
    server.ensure(span.partition, 0)
    total = 0
    for events in history.read(span.partition, span.start, span.end):
        after = events["offset"][-1].as_py() + 1
        served = server.serve(events, committed={span.partition: after})
        first = events["offset"][0].as_py()
        path = folder / f"{span.partition:04d}-{first:012d}-{after:012d}.parquet"
        for other in _overlapping(folder, span.partition, first, after):
            if other != path:
                other.unlink()
        if not path.exists():
            unfinished = path.with_suffix(".unfinished")
            pq.write_table(table_of(events, served), unfinished)
            unfinished.replace(path)
        total += len(events)
        progress(len(events))
    return total


def refuse_foreign(folder: Path) -> None:
    """DataError when a file in `folder` was made by another feature definition than this code's."""
    for path, *_ in _files(folder):
        made_by = (pq.read_schema(path).metadata or {}).get(b"feature_set", b"").decode()
        if made_by != FEATURE_SET.hash:
            raise DataError(
                f"{path} holds features of the definition {made_by or 'unknown'}, not of this "
                f"code's {FEATURE_SET.hash}",
                remedy="Name an empty folder, or delete those files",
            )


def _files(folder: Path) -> Iterator[tuple[Path, int, int, int]]:
    """The job's files with partition, first offset and the offset after the last."""
    for path in sorted(folder.glob("*.parquet")):
        named = _FILE.fullmatch(path.name)
        if named is not None:
            number, first, after = map(int, named.groups())
            yield path, number, first, after


def _overlapping(folder: Path, partition: int, first: int, after: int) -> list[Path]:
    """Files of a partition that hold some of the offsets from `first` to before `after`."""
    return [
        path
        for path, number, start, end in _files(folder)
        if number == partition and start < after and first < end
    ]


def table_of(events: pa.Table, served: FeatureMatrix) -> pa.Table:
    """Identity of each event, its flags and its features, a column each."""
    columns = {name: events[name] for name in KEYS}
    columns |= {
        "is_late": pa.array(served.is_late),
        "is_duplicate": pa.array(served.is_duplicate),
    }
    for position, name in enumerate(FEATURE_SET.names):
        columns[name] = pa.array(np.ascontiguousarray(served.values[:, position]))
    metadata = {"feature_set": FEATURE_SET.hash}
    return pa.table(columns).replace_schema_metadata(metadata)
