"""All features of a topic as Parquet, partition by partition, in bounded memory.

First everybody's events are folded into tiles across cards. Then a partition is read in order in
tables of a fixed number of records and folded with its state in memory, so a process holds one
table, the compact states of one partition's cards, and the tiles. Each table
becomes one file, named by its offsets and written in one step; a file that is there is not written
again, so a job that was cut short goes on where it stopped (what it folds again costs seconds).
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from contracts.kafka import OffsetRange
from contracts.settings import KafkaSettings
from features.definition import FEATURE_SET
from features.engine import FeatureMatrix
from features.history import HeldHistory, History, KafkaHistory
from features.recompute import WholeTopics, refold
from features.serving import FeatureServer
from features.store import MemoryStateStore
from features.tile_history import folded
from features.tile_reader import TileReader
from features.tile_store import TileStore

Progress = Callable[[int], None]
KEYS = ("partition", "offset", "card_id", "transaction_id", "event_time", "amount_minor")


@dataclass(frozen=True, slots=True)
class NoPast:
    """A topic from its very beginning: there is nothing to catch up with."""

    def first_offset(self, partition: int) -> int:
        """See `History`."""
        return 0

    def read(self, partition: int, start: int, end: int) -> Iterator[pa.Table]:
        """See `History`."""
        return iter(())


def replay_topic(
    kafka: KafkaSettings,
    spans: Iterable[OffsetRange],
    folder: Path,
    *,
    workers: int,
    progress: Progress | None = None,
) -> int:
    """Write the features of all spans' events below `folder`; the number of events.

    Each span starts at its partition's first record. `progress` is told events as they are done.

    Raises:
        BrokerError: Kafka does not answer, or retention deleted part of a span.
    """
    total = 0
    tiles, _ = refold(WholeTopics(kafka), 0)
    with ProcessPoolExecutor(max_workers=workers) as pool:
        history = KafkaHistory(kafka)
        jobs = [pool.submit(replay_partition, history, span, folder, tiles) for span in spans]
        for job in as_completed(jobs):
            total += job.result()
            if progress is not None:
                progress(job.result())
    return total


def replay_tables(
    events: pa.Table, labels: pa.Table, folder: Path, progress: Progress | None = None
) -> int:
    """The same for the whole partitions of a snapshot's tables, one after the other."""
    tiles, history, total = folded(events, labels), HeldHistory(events), 0
    partitions, offsets = events["partition"].to_numpy(), events["offset"].to_numpy()
    for number in np.unique(partitions).tolist():
        end = int(offsets[partitions == number].max()) + 1
        span = OffsetRange("snapshot", number, 0, end)
        done = replay_partition(history, span, folder, tiles)
        total += done
        if progress is not None:
            progress(done)
    return total


def replay_partition(history: History, span: OffsetRange, folder: Path, tiles: TileStore) -> int:
    """Replay one partition into `folder`; the number of its events. `tiles` are everybody's."""
    folder.mkdir(parents=True, exist_ok=True)
    server = FeatureServer(
        MemoryStateStore(), span.topic, history=NoPast(), tiles=TileReader(tiles)
    )
    server.ensure(span.partition, 0)
    total = 0
    for events in history.read(span.partition, span.start, span.end):
        after = events["offset"][-1].as_py() + 1
        served = server.serve(events, partition=span.partition, committed_offset=after)
        first = events["offset"][0].as_py()
        path = folder / f"{span.partition:04d}-{first:012d}-{after:012d}.parquet"
        if not path.exists():
            unfinished = path.with_suffix(".unfinished")
            pq.write_table(table_of(events, served), unfinished)
            unfinished.replace(path)
        total += len(events)
    return total


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
