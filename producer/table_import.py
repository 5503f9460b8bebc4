"""`fraud import`: a transaction table onto Kafka as our messages, in time order, resumable.

1. Map the file and sort it on disk; write refused rows out. 2. Ask Kafka what it holds of this
import already. 3. Send the rest, transactions and labels merged by record timestamp. A crash at any
moment leaves a beginning of each partition's share, and the next run sends what is missing.
"""

import hashlib
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from contracts.kafka import full_ranges
from contracts.settings import KafkaSettings, Settings
from producer.pace import AtOnce, Pace, SteadyRate, TimeLapse
from producer.publisher import Publisher, Stop, new_stop, open_publisher
from producer.records import Record
from producer.table_plan import (
    ImportOptions,
    ImportReport,
    Selection,
    check_options,
    planned,
    select,
)
from producer.table_records import records
from producer.table_resume import Standing, find_standing
from producer.table_source import content_hash, count_rows
from producer.table_spec import TableMapping, load_mapping
from producer.table_spool import Spool, fill_spool

_CHUNK_RECORDS = 1_000
_SHORTEST_NAP_SECONDS = 0.005
_LONGEST_NAP_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class ImportStatus:
    """How far an import is: `phase` read or publish; rows of `total` (None: unknown)."""

    phase: str
    done: int
    total: int | None


Progress = Callable[[ImportStatus], None]


def wall_us() -> int:
    """Microseconds since the epoch, now."""
    return time.time_ns() // 1000


def import_table(
    settings: Settings,
    options: ImportOptions,
    progress: Progress,
    *,
    stop: Stop | None = None,
    wall: Callable[[], int] = wall_us,
) -> ImportReport:
    """Publish a table; run again, with a later `until_us` or none, it continues exactly.

    Raises:
        DataError: the file, the mapping or the options are wrong, or the topics are occupied.
        BrokerError: Kafka cannot be reached or stops taking records.
    """
    began = time.monotonic()
    check_options(options)
    mapping = load_mapping(options.mapping)
    if not options.dry_run:
        _refuse_missing_topics(settings.kafka)
    with tempfile.TemporaryDirectory(prefix="fraud-import-") as folder:
        total = options.limit or count_rows(options.file)
        spool = fill_spool(
            Path(folder),
            options.file,
            mapping,
            options.rejects,
            limit=options.limit,
            on_rows=lambda rows: progress(ImportStatus("read", rows, total)),
        )
        selection = select(spool, options, wall())
        report = planned(spool, selection)
        if not options.dry_run:
            job = _Job(settings.kafka, options, mapping, spool, selection, wall)
            report = job.publish(report, progress, stop or new_stop())
    return replace(report, seconds=round(time.monotonic() - began, 3))


def _refuse_missing_topics(kafka: KafkaSettings) -> None:
    """Before the file is read, which may take a while."""
    for topic in (kafka.topic, kafka.labels_topic):
        full_ranges(kafka, topic)


@dataclass(frozen=True, slots=True)
class _Job:
    """The second half of an import: from the sorted rows to Kafka."""

    kafka: KafkaSettings
    options: ImportOptions
    mapping: TableMapping
    spool: Spool
    selection: Selection
    wall: Callable[[], int]

    def publish(self, plan: ImportReport, progress: Progress, stop: Stop) -> ImportReport:
        import_id = self.identity()
        standings = {
            topic: find_standing(self.kafka, topic, import_id, self.selection.since_us)
            for topic in (self.kafka.topic, self.kafka.labels_topic)
        }
        outgoing = records(self.spool, self.selection, self.mapping, self.kafka, import_id)
        sender = Sender(open_publisher(self.kafka), standings, self._pace, stop)
        topic, labels_topic = self.kafka.topic, self.kafka.labels_topic

        def tell() -> None:
            rows = sender.sent[topic] + sender.skipped[topic]
            progress(ImportStatus("publish", rows, plan.rows_to_publish))

        is_complete = sender.send_all(outgoing, tell)
        return replace(
            plan,
            rows_already_there=sender.skipped[topic],
            rows_published=sender.sent[topic],
            labels_already_there=sender.skipped[labels_topic],
            labels_published=sender.sent[labels_topic],
            is_complete=is_complete,
        )

    def identity(self) -> str:
        """Sixteen hex digits: the same for what the same runs would publish, but for the end."""
        parts = (
            content_hash(self.options.file),
            self.mapping.model_dump_json(),
            str(self.selection.since_us),
            str(self.options.limit),
        )
        return hashlib.blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()

    def _pace(self, first_us: int) -> Pace:
        if self.options.rate is not None:
            return SteadyRate(self.options.rate, self.wall)
        if self.options.speed is not None:
            return TimeLapse(first_us, self.options.speed, self.wall)
        return AtOnce()


class Sender:
    """Sends what the topics lack, at a pace, and counts by topic what was sent and what skipped."""

    def __init__(
        self,
        publisher: Publisher,
        standings: Mapping[str, Standing],
        pace: Callable[[int], Pace],
        stop: Stop,
    ) -> None:
        self.sent: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self._publisher = publisher
        self._standings = standings
        self._make_pace = pace
        self._stop = stop
        self._last_us = 0

    def send_all(self, outgoing: Iterable[Record], tell: Callable[[], None]) -> bool:
        """Send until the end or until stopped; whether the end was reached."""
        missing = self._missing(outgoing)
        pace: Pace | None = None
        while chunk := list(islice(missing, _CHUNK_RECORDS)):
            pace = pace or self._make_pace(chunk[0].timestamp_us)
            if not self._send_chunk(chunk, pace, tell):
                break
        self._publisher.flush()
        self._publisher.promise(self._last_us, is_last=True)
        self._publisher.flush()
        tell()
        return not self._stop.is_set()

    def _missing(self, outgoing: Iterable[Record]) -> Iterator[Record]:
        for record in outgoing:
            if self._standings[record.topic].has(record.key, record.sequence):
                self.skipped[record.topic] += 1
            else:
                yield record

    def _send_chunk(self, chunk: list[Record], pace: Pace, tell: Callable[[], None]) -> bool:
        """Send the chunk as its records fall due; false when the run is to end."""
        times_us = [record.timestamp_us for record in chunk]
        start = 0
        while start < len(chunk):
            self._publisher.promise(times_us[start])
            end = start + pace.due(times_us[start:])
            self._publisher.send_all(chunk[start:end])
            self.sent.update(record.topic for record in chunk[start:end])
            tell()
            self._last_us = times_us[end] if end < len(chunk) else times_us[-1]
            start = end
            wait_seconds = pace.seconds_until(times_us[start]) if start < len(chunk) else 0.0
            if self._is_stopped_within(wait_seconds):
                return False
        return True

    def _is_stopped_within(self, seconds: float) -> bool:
        if seconds <= 0:
            return self._stop.is_set()
        self._publisher.serve()
        return self._stop.wait(min(max(seconds, _SHORTEST_NAP_SECONDS), _LONGEST_NAP_SECONDS))
