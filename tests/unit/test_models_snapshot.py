"""Snapshots: the same reference gives the same bytes; nothing is lost in silence."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pytest
from models_world import settings_with

from contracts.errors import ObjectStoreError, OffsetsExpiredError
from contracts.kafka import OffsetRange, RawRecord
from contracts.settings import Settings
from models.objects import FolderObjects, open_objects
from models.refusals import Refused
from models.snapshot import load_manifest, read_snapshot, take_snapshot

T0_MS = 1_767_225_600_000
DAY_MS = 86_400_000


def transaction(number: int) -> bytes:
    """A transaction as JSON."""
    body = {
        "schema_version": 1,
        "transaction_id": f"t{number}",
        "event_time": (T0_MS + number * DAY_MS // 4) * 1000,
        "card_id": f"c{number % 3}",
        "merchant_id": "m",
        "amount_minor": 100 + number,
    }
    return orjson.dumps(body)


@dataclass
class ListLog:
    """Topics as lists; grows, and can be told that it forgot its beginning."""

    topics: dict[str, list[bytes]]
    is_expired: bool = False
    reads: list[str] = field(default_factory=list)
    fails_on: str | None = None
    refused: list[tuple[str, int, str]] = field(default_factory=list)

    def ranges(self, topic: str) -> list[OffsetRange]:
        """One partition a topic."""
        return [OffsetRange(topic, 0, 0, len(self.topics.get(topic, [])))]

    def read(self, span: OffsetRange) -> Iterable[list[RawRecord]]:
        """In batches of three."""
        self.reads.append(span.topic)
        if self.is_expired or span.topic == self.fails_on:
            raise OffsetsExpiredError("gone")
        values = self.topics.get(span.topic, [])[span.start : span.end]
        records = [
            RawRecord(0, offset, T0_MS + offset * DAY_MS // 4, b"k", value)
            for offset, value in enumerate(values, span.start)
        ]
        return [records[i : i + 3] for i in range(0, len(records), 3)]

    def refuse(self, topic: str, refused: Sequence[Refused]) -> int:
        """Remembered as (topic, offset, message)."""
        self.refused += [(topic, record.offset, bad.message) for record, bad in refused]
        return len(refused)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a folder as object store."""
    return settings_with(tmp_path)


def full_log(count: int = 10) -> ListLog:
    """Some transactions and one label."""
    label = orjson.dumps(
        {
            "schema_version": 1,
            "transaction_id": "t1",
            "card_id": "c1",
            "merchant_id": "m",
            "event_time": T0_MS * 1000,
            "is_fraud": True,
            "label_time": T0_MS * 1000 + 1,
            "source": "chargeback",
        }
    )
    topics = {"transactions": [transaction(n) for n in range(count)]}
    return ListLog(topics | {"transaction_labels": [label]})


def test_a_retry_gives_the_same_manifest(settings: Settings) -> None:
    """Records that arrive after the first try do not enter a snapshot of the same reference."""
    log = full_log()
    first = take_snapshot(settings, reference="run-1", log=log)
    log.topics["transactions"].append(transaction(99))
    assert take_snapshot(settings, reference="run-1", log=log) == first
    other = take_snapshot(settings, reference="run-2", log=log)
    assert other.content_hash != first.content_hash


def test_a_killed_try_is_finished_with_its_own_offsets(settings: Settings) -> None:
    """A try that died half-way left its end offsets; the next one reads up to those."""
    log = full_log()
    log.fails_on = "transactions"
    with pytest.raises(OffsetsExpiredError):
        take_snapshot(settings, reference="r", log=log)
    log.fails_on = None
    log.topics["transactions"].append(transaction(99))
    log.reads.clear()
    manifest = take_snapshot(settings, reference="r", log=log)
    assert manifest.end_offsets("transactions") == {0: 10}
    assert log.reads == ["transactions"]


def test_equal_records_give_equal_bytes(settings: Settings, tmp_path: Path) -> None:
    """Two snapshots of the same offsets hold the same content, whatever their reference."""
    log = full_log()
    one = take_snapshot(settings, reference="a", log=log)
    two = take_snapshot(settings, reference="b", log=log)
    assert one.content_hash == two.content_hash
    assert one.uri != two.uri


def test_unreadable_labels_are_refused_with_the_reason(settings: Settings) -> None:
    """They are counted, told apart by offset and reason, and the others are kept."""
    log = full_log()
    good = log.topics["transaction_labels"][0]
    late = orjson.dumps({**orjson.loads(good), "label_time": "soon"})
    log.topics["transaction_labels"] = [b"{", good, late]
    part = take_snapshot(settings, reference="r", log=log).part("transaction_labels")
    assert (part.records, part.rows, sum(part.unreadable.values())) == (3, 1, 2)
    assert [(topic, offset) for topic, offset, _ in log.refused] == [
        ("transaction_labels", 0),
        ("transaction_labels", 2),
    ]
    assert "label_time" in log.refused[1][2]


def test_unreadable_records_are_counted(settings: Settings) -> None:
    """A record that is no transaction is counted by reason, the others are kept."""
    log = full_log()
    log.topics["transactions"][4] = b"{not json"
    part = take_snapshot(settings, reference="r", log=log).part("transactions")
    assert (part.records, part.rows, part.unreadable) == (10, 9, {"not_json": 1})


def test_files_are_by_day_and_read_back_in_offset_order(settings: Settings) -> None:
    """One file a day; reading gives every row in (partition, offset) order."""
    manifest = take_snapshot(settings, reference="r", log=full_log())
    files = [file.key for file in manifest.part("transactions").files]
    assert len(files) == 3
    assert all("/day=2026-01-0" in key for key in files)
    table = read_snapshot(open_objects(settings.object_store), manifest, "transactions")
    assert table["offset"].to_pylist() == list(range(10))
    assert load_manifest(settings, manifest.uri) == manifest


def test_expired_offsets_are_an_error(settings: Settings) -> None:
    """What retention deleted is never a silent gap."""
    log = full_log()
    log.is_expired = True
    with pytest.raises(OffsetsExpiredError):
        take_snapshot(settings, reference="r", log=log)


def test_a_damaged_file_is_refused(settings: Settings) -> None:
    """A file whose bytes changed since the manifest was written is not read."""
    manifest = take_snapshot(settings, reference="r", log=full_log())
    objects = open_objects(settings.object_store)
    assert isinstance(objects, FolderObjects)
    objects.put(manifest.part("transactions").files[0].key, b"other bytes")
    with pytest.raises(ObjectStoreError, match="damaged"):
        read_snapshot(objects, manifest, "transactions")


def test_progress_is_reported_up_to_the_total(settings: Settings) -> None:
    """The callback sees each topic grow to its number of records."""
    seen: list[tuple[str, int, int]] = []
    take_snapshot(
        settings,
        reference="r",
        log=full_log(),
        progress=lambda topic, done, total: seen.append((topic, done, total)),
    )
    assert ("transactions", 10, 10) in seen
    assert ("transactions", 3, 10) in seen
