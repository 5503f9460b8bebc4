"""A snapshot: what Kafka holds up to recorded end offsets, as Parquet on the object store.

The order, and what a crash between any two steps leaves behind:
1. `ranges.json`: the end offsets. A retry uses them, so it reads the same records.
2. per topic, its Parquet files, then `<topic>.json`. A retry skips topics that have the latter.
3. `manifest.json`. A snapshot without one does not exist; with one it never changes.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.columns import EVENT_SCHEMA, SOURCE_SCHEMA, parse_transactions, with_source
from contracts.kafka import OffsetRange, RawRecord, full_ranges, read_range
from contracts.settings import KafkaSettings, Settings
from contracts.wire import DECISIONS, LABELS, OUTCOMES, WireFormat, parse_records
from models.objects import Objects, open_objects, read_object
from models.refusals import Refused, send_refused
from models.snapshot_files import read_part, write_part
from models.snapshot_manifest import SnapshotManifest, content_hash, manifest_from, part_from

Progress = Callable[[str, int, int], None]
"""Called with the topic, the records read so far and how many there are."""


class Log(Protocol):
    """Where records come from: Kafka, or a list in tests."""

    def ranges(self, topic: str) -> list[OffsetRange]:
        """Every record that the topic holds now."""
        ...

    def read(self, span: OffsetRange) -> Iterable[list[RawRecord]]:
        """The records of a range in offset order."""
        ...

    def refuse(self, topic: str, refused: Sequence[Refused]) -> int:
        """Keep what cannot be read where people look for it; how many were not there yet."""
        ...


@dataclass(frozen=True, slots=True)
class KafkaLog:
    """The broker that the settings name."""

    kafka: KafkaSettings

    def ranges(self, topic: str) -> list[OffsetRange]:
        """Every record that the topic holds now; BrokerError when it cannot be asked."""
        return full_ranges(self.kafka, topic)

    def read(self, span: OffsetRange) -> Iterable[list[RawRecord]]:
        """The records of a range; OffsetsExpiredError when retention deleted some."""
        return read_range(self.kafka, span, batch_size=20_000)

    def refuse(self, topic: str, refused: Sequence[Refused]) -> int:
        """To the dead-letter topic, each once."""
        return send_refused(self.kafka, topic, refused)


def take_snapshot(
    settings: Settings,
    *,
    reference: str,
    progress: Progress | None = None,
    log: Log | None = None,
    objects: Objects | None = None,
) -> SnapshotManifest:
    """Copy transactions, labels, outcomes and decisions to the object store.

    The same reference gives the same manifest, however often it is tried.

    Raises:
        BrokerError: Kafka is out of reach, or retention deleted part of the range.
        ObjectStoreError: the object store is out of reach.
    """
    objects = objects or open_objects(settings.object_store)
    source = log or KafkaLog(settings.kafka)
    folder = f"snapshots/{_safe(reference)}"
    done = objects.get(f"{folder}/manifest.json")
    if done is not None:
        return manifest_from(done)
    formats = _formats(settings.kafka)
    ranges = _recorded_ranges(objects, folder, source, tuple(formats))
    for topic, wire in formats.items():
        _copy_topic(objects, folder, source, topic, wire, ranges, progress)
    return _finish(objects, folder, reference, ranges, tuple(formats))


def load_manifest(settings: Settings, uri: str) -> SnapshotManifest:
    """The manifest at an address.

    Raises:
        ObjectStoreError: it is missing or damaged.
    """
    return manifest_from(read_object(open_objects(settings.object_store), uri))


def read_snapshot(objects: Objects, manifest: SnapshotManifest, topic: str) -> pa.Table:
    """A topic's readable records in (partition, offset) order.

    Raises:
        ObjectStoreError: a file is missing, or its bytes are not those that were written.
    """
    return read_part(objects, manifest.part(topic))


def _formats(kafka: KafkaSettings) -> dict[str, WireFormat | None]:
    """Topic to format; None is a transaction, which has a parser of its own."""
    return {
        kafka.labels_topic: LABELS,
        kafka.outcomes_topic: OUTCOMES,
        kafka.scores_topic: DECISIONS,
        kafka.topic: None,
    }


def _safe(reference: str) -> str:
    """A reference as one path segment; Airflow's run ids hold colons and pluses."""
    return "".join(c if c.isalnum() or c in "-_.=" else "-" for c in reference)


def _recorded_ranges(
    objects: Objects, folder: str, log: Log, topics: tuple[str, ...]
) -> tuple[OffsetRange, ...]:
    key = f"{folder}/ranges.json"
    known = objects.get(key)
    if known is None:
        found = [asdict(span) for topic in topics for span in log.ranges(topic)]
        known = json.dumps(found, sort_keys=True).encode()
        objects.put(key, known)
    return tuple(OffsetRange(**span) for span in json.loads(known))


def _copy_topic(
    objects: Objects,
    folder: str,
    log: Log,
    topic: str,
    wire: WireFormat | None,
    ranges: tuple[OffsetRange, ...],
    progress: Progress | None,
) -> None:
    key = f"{folder}/{topic}.json"
    if objects.get(key) is not None:
        return
    spans = [span for span in ranges if span.topic == topic]
    total = sum(span.end - span.start for span in spans)
    bad: list[Refused] = []
    tables: list[pa.Table] = [_schema(wire).empty_table()]
    records = 0
    for batch in (batch for span in spans for batch in log.read(span)):
        tables.append(_parse(batch, wire, bad))
        records += len(batch)
        if progress is not None:
            progress(topic, records, total)
    if wire is not None:  # transactions that cannot be read are refused by the stream
        log.refuse(topic, bad)
    codes = Counter(row.code for _, row in bad)
    part = write_part(objects, f"{folder}/{topic}", topic, pa.concat_tables(tables), records, codes)
    objects.put(key, json.dumps(asdict(part), sort_keys=True).encode())


def _schema(wire: WireFormat | None) -> pa.Schema:
    return EVENT_SCHEMA if wire is None else pa.schema([*SOURCE_SCHEMA, *wire.schema])


def _parse(batch: list[RawRecord], wire: WireFormat | None, bad: list[Refused]) -> pa.Table:
    values = [record.value for record in batch]
    if wire is None:
        parsed = parse_transactions(values)
        bad.extend((batch[row.index], row) for row in parsed.bad)
        return with_source(parsed.table, *_sources(batch, parsed.index.tolist()))
    read = parse_records(values, wire)
    bad.extend((batch[row.index], row) for row in read.bad)
    columns = [pa.array(column) for column in _sources(batch, read.index)]
    columns += [read.table[name].combine_chunks() for name in wire.schema.names]
    return pa.Table.from_arrays(columns, schema=_schema(wire))


def _sources(
    batch: list[RawRecord], index: list[int]
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    chosen = batch if len(index) == len(batch) else [batch[i] for i in index]
    partition = np.fromiter((r.partition for r in chosen), dtype=np.int32, count=len(chosen))
    offset = np.fromiter((r.offset for r in chosen), dtype=np.int64, count=len(chosen))
    stamp = np.fromiter((r.timestamp_ms for r in chosen), dtype=np.int64, count=len(chosen))
    return partition, offset, stamp * 1000


def _finish(
    objects: Objects,
    folder: str,
    reference: str,
    ranges: tuple[OffsetRange, ...],
    topics: tuple[str, ...],
) -> SnapshotManifest:
    stored = [objects.get(f"{folder}/{topic}.json") for topic in topics]
    parts = tuple(part_from(json.loads(data)) for data in stored if data is not None)
    uri = objects.uri(f"{folder}/manifest.json")
    digest = content_hash(ranges, parts)
    manifest = SnapshotManifest(reference, uri, ranges, parts, digest)
    objects.put(f"{folder}/manifest.json", manifest.to_json())
    return manifest
