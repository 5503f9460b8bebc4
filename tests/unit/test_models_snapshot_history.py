"""A snapshot replayed file by file: the bits of one call, whatever day a record says it is of."""

from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feature_world import World, make_events, make_labels
from models_world import settings_with

from contracts.errors import ObjectStoreError
from contracts.kafka import OffsetRange
from contracts.settings import Settings
from features.definition import FEATURE_SET
from features.engine import replay
from features.history import cut_alike
from features.replay_job import replay_history
from models.objects import open_objects
from models.snapshot_files import write_part
from models.snapshot_history import SnapshotHistory
from models.snapshot_manifest import SnapshotManifest

DAY_US = 86_400_000_000


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a folder as object store."""
    return settings_with(tmp_path)


def astray(events: pa.Table) -> pa.Table:
    """The same events, one in twenty with a record timestamp up to four days off."""
    random = np.random.default_rng(7)
    days = np.where(random.random(len(events)) < 0.05, random.integers(-4, 5, len(events)), 0)
    stamps = pa.array(events["timestamp_us"].to_numpy() + days * DAY_US)
    position = events.schema.get_field_index("timestamp_us")
    return events.set_column(position, "timestamp_us", stamps)


def snapshot_of(settings: Settings, **tables: pa.Table) -> SnapshotManifest:
    """A snapshot of these topics' tables, written as the platform writes them."""
    objects = open_objects(settings.object_store)
    parts = tuple(
        write_part(objects, f"snapshots/s/{topic}", topic, table, len(table), Counter())
        for topic, table in tables.items()
    )
    ranges = tuple(
        OffsetRange(topic, number, 0, int((table["partition"].to_numpy() == number).sum()))
        for topic, table in tables.items()
        for number in np.unique(table["partition"].to_numpy()).tolist()
    )
    return SnapshotManifest("s", "memory", ranges, parts, "")


def test_a_replay_gives_what_one_call_gives(settings: Settings, tmp_path: Path) -> None:
    """Two processes, labels, records of other days among them: the bits of one replay."""
    events = astray(make_events(World(900, 30, days=20, partitions=3, merchants=5), 4))
    labels = make_labels(events, 5, share=0.2)
    manifest = snapshot_of(settings, transactions=events, transaction_labels=labels)
    seen: list[int] = []
    folded: list[int] = []
    told: list[int] = []
    held = SnapshotHistory.opened(settings, manifest, seen.append)
    assert sum(seen) == len(events) + len(labels)
    out = tmp_path / "out"
    done = replay_history(
        held, held, held.spans(), out, workers=2, folded=folded.append, progress=told.append
    )
    assert done == sum(told) == sum(folded) == len(events)
    written = pa.concat_tables(pq.read_table(path) for path in sorted(out.iterdir()))
    order = np.lexsort((events["offset"].to_numpy(), events["partition"].to_numpy()))
    truth = replay(events, labels=labels).values[order]
    values = np.column_stack([written[name].to_numpy() for name in FEATURE_SET.names])
    assert np.array_equal(values, truth, equal_nan=True)
    assert values[:, FEATURE_SET.names.index("merchant_frauds_30d")].max() > 1


def test_what_waits_is_only_what_came_out_of_order(settings: Settings) -> None:
    """With timestamps in order every file is given out whole, one at a time, in offset order."""
    events = make_events(World(600, 30, days=10, partitions=2), 4)
    labels = make_labels(events, 5)
    manifest = snapshot_of(settings, transactions=events, transaction_labels=labels)
    held = SnapshotHistory.opened(settings, manifest)
    tables = list(held.transactions())
    days = len(manifest.part("transactions").files)
    assert days >= 10
    assert len(tables) == 2 * days
    for number, own in ((0, tables[::2]), (1, tables[1::2])):
        offsets = [offset for table in own for offset in table["offset"].to_pylist()]
        assert offsets == list(range(manifest.end_offsets("transactions")[number]))


@pytest.mark.parametrize("topic", ["transactions", "transaction_labels"])
def test_all_partitions_come_from_one_reading(settings: Settings, topic: str) -> None:
    """Each file can go when the first partition's rows of it have come: it is not read again."""
    events = make_events(World(600, 30, days=10, partitions=3), 4)
    labels = make_labels(events, 5)
    manifest = snapshot_of(settings, transactions=events, transaction_labels=labels)
    held = SnapshotHistory.opened(settings, manifest)
    objects, part = open_objects(settings.object_store), manifest.part(topic)
    paths = {
        file.key.split("day=")[1][:10]: Path(unquote(urlsplit(objects.uri(file.key)).path))
        for file in part.files
    }
    rows = 0
    for table in held.transactions() if topic == "transactions" else held.labels():
        rows += len(table)
        for day in {int(us) // DAY_US for us in table["timestamp_us"].to_numpy()}:
            path = paths[str(date(1970, 1, 1) + timedelta(days=day))]
            path.unlink(missing_ok=True)
    assert rows == part.rows
    assert not any(path.exists() for path in paths.values())


def test_a_file_that_was_changed_is_no_history(settings: Settings) -> None:
    """Other bytes under a file's name are refused before anything is computed from them."""
    events = make_events(World(100, 5, days=3, partitions=1), 4)
    labels = make_labels(events, 5)
    manifest = snapshot_of(settings, transactions=events, transaction_labels=labels)
    open_objects(settings.object_store).put(manifest.parts[0].files[1].key, b"other")
    with pytest.raises(ObjectStoreError, match="missing or damaged"):
        SnapshotHistory.opened(settings, manifest)


def test_tables_are_cut_where_the_offset_says(settings: Settings) -> None:
    """However the rows came, a table ends before an offset that is a multiple of its length."""
    events = make_events(World(95, 5, days=3, partitions=1), 4).slice(7)
    pieces = [events.slice(0, 2), events.slice(2, 40), events.slice(42)]
    tables = list(cut_alike(pieces, 20))
    assert [table["offset"][0].as_py() for table in tables] == [7, 20, 40, 60, 80]
    assert pa.concat_tables(tables).equals(events)
