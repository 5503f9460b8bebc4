"""`fraud replay`: the same numbers as one call, file by file, and it goes on where it stopped."""

import itertools
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feature_stream import TableHistory
from feature_world import World, make_events
from features_records import RecordHistory, record_of

from contracts.columns import EVENT_SCHEMA
from contracts.errors import BrokerError, DataError, ReplayError
from contracts.kafka import OffsetRange
from features.definition import FEATURE_SET
from features.engine import replay
from features.history import BATCH_RECORDS
from features.replay_job import refuse_foreign, replay_history, replay_partition
from features.tile_history import folded


@pytest.fixture(scope="module")
def events() -> pa.Table:
    """One partition with everything awkward."""
    return make_events(World(800, 9, days=60, partitions=1, shifted=0.2, duplicates=0.1), 3)


def test_files_hold_what_one_call_gives(events: pa.Table, tmp_path: Path) -> None:
    """Features, flags and identities of all events, bit for bit, in offset order."""
    span = OffsetRange("transactions", 0, 0, len(events))
    tiles = folded(events)
    assert replay_partition(TableHistory(events), span, tmp_path, tiles) == len(events)
    written = pa.concat_tables(pq.read_table(path) for path in sorted(tmp_path.iterdir()))
    truth = replay(events)
    values = np.column_stack([written[name].to_numpy() for name in FEATURE_SET.names])
    assert np.array_equal(values, truth.values, equal_nan=True)
    assert written["is_duplicate"].to_numpy().tolist() == truth.is_duplicate.tolist()
    assert written["offset"].to_pylist() == list(range(len(events)))


def test_a_second_run_only_writes_what_is_missing(events: pa.Table, tmp_path: Path) -> None:
    """A lost file comes back the same, and the others are left alone."""
    span = OffsetRange("transactions", 0, 0, len(events))
    tiles = folded(events)
    replay_partition(TableHistory(events), span, tmp_path, tiles)
    kept, lost = sorted(tmp_path.iterdir())
    bytes_before, written_at = lost.read_bytes(), kept.stat().st_mtime_ns
    lost.unlink()
    replay_partition(TableHistory(events), span, tmp_path, tiles)
    assert lost.read_bytes() == bytes_before
    assert kept.stat().st_mtime_ns == written_at


def test_a_grown_topic_replaces_the_file_that_it_fills_up(events: pa.Table, tmp_path: Path) -> None:
    """After the topic has grown, each event is in the files once, with the features of one call."""
    for count in (500, 650, len(events)):
        history = TableHistory(events.slice(0, count))
        span = OffsetRange("transactions", 0, 0, count)
        replay_partition(history, span, tmp_path, folded(events))
        written = pa.concat_tables(pq.read_table(path) for path in sorted(tmp_path.iterdir()))
        assert written["offset"].to_pylist() == list(range(count))
    values = np.column_stack([written[name].to_numpy() for name in FEATURE_SET.names])
    assert np.array_equal(values, replay(events).values, equal_nan=True)


def test_other_partitions_files_are_left_alone(events: pa.Table, tmp_path: Path) -> None:
    """A partition's new files never push out those of another with the same offsets."""
    other = tmp_path / f"0001-{0:012d}-{len(events):012d}.parquet"
    other.write_bytes(b"")
    span = OffsetRange("transactions", 0, 0, len(events))
    replay_partition(TableHistory(events), span, tmp_path, folded(events))
    assert other.exists()


def test_a_folder_of_another_definition_is_refused(events: pa.Table, tmp_path: Path) -> None:
    """Files of other features stop the job before it begins, and stay as they are."""
    span = OffsetRange("transactions", 0, 0, len(events))
    replay_partition(TableHistory(events), span, tmp_path, folded(events))
    path = sorted(tmp_path.iterdir())[0]
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({"feature_set": "old"}), path)
    before = path.read_bytes()
    with pytest.raises(DataError, match="definition old"):
        refuse_foreign(tmp_path)
    assert path.read_bytes() == before


def test_unreadable_records_alone_end_no_replay(events: pa.Table, tmp_path: Path) -> None:
    """Where a whole table's records cannot be read there is no file, and the job goes on."""
    some = events.slice(0, 5).to_pylist()
    records = [record_of(row, row["offset"]) for row in some[:2]]
    records += [record_of(None, BATCH_RECORDS + n) for n in range(3)]
    records += [record_of(row, 2 * BATCH_RECORDS + n) for n, row in enumerate(some[2:])]
    span = OffsetRange("transactions", 0, 0, 2 * BATCH_RECORDS + 3)
    tiles = folded(EVENT_SCHEMA.empty_table())
    assert replay_partition(RecordHistory(records), span, tmp_path, tiles) == 5
    assert len(list(tmp_path.iterdir())) == 2


@dataclass(frozen=True)
class Troubled:
    """A source whose partition 1 meets with trouble, and whose partition 2 has no end."""

    events: pa.Table
    is_killed: bool

    def transactions(self) -> Iterator[pa.Table]:
        """Nothing for tiles."""
        return iter(())

    def labels(self) -> Iterator[pa.Table]:
        """Nothing for tiles."""
        return iter(())

    def first_offset(self, partition: int) -> int:
        """See `History`."""
        return 0

    def read(self, partition: int, start: int, end: int) -> Iterator[pa.Table]:
        """See `History`."""
        if partition == 0:
            yield self.events
            return
        if partition == 1:
            if self.is_killed:
                os.kill(os.getpid(), signal.SIGKILL)
            raise BrokerError("Kafka went away", value=partition)
        for first in itertools.count(0, len(self.events)):
            rows = self.events.to_pylist()
            moved = [row | {"partition": 2, "offset": first + n} for n, row in enumerate(rows)]
            yield pa.Table.from_pylist(moved, schema=self.events.schema)


def replay_all(source: Troubled, folder: Path, workers: int, *first: int) -> None:
    """Replay partitions 0 to 8, some of them first."""
    numbers = dict.fromkeys((*first, *range(9)))
    spans = [OffsetRange("transactions", number, 0, 5) for number in numbers]
    replay_history(source, source, spans, folder, workers=workers)


def test_the_first_failure_ends_the_job(events: pa.Table, tmp_path: Path) -> None:
    """It is told at once, and ends those that still replay; what has not begun never does."""
    with pytest.raises(BrokerError, match="Kafka went away"):
        replay_all(Troubled(events.slice(0, 5), is_killed=False), tmp_path, 2, 2, 1)
    assert not list(tmp_path.glob("0008-*"))


def test_a_killed_process_is_an_error_with_a_remedy(events: pa.Table, tmp_path: Path) -> None:
    """The partitions that were not done are named, those that were are not."""
    with pytest.raises(ReplayError, match="it goes on where it stopped") as failed:
        replay_all(Troubled(events.slice(0, 5), is_killed=True), tmp_path, 1)
    assert failed.value.value == list(range(1, 9))
