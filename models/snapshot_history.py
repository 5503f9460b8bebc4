"""A snapshot's partitions in offset order, with one of its files in memory at a time.

Its files hold a day of record timestamps each, and a record may carry an earlier day than those
before it. So an event is given out when no later file holds a smaller offset of its partition; what
waits for that is what arrived out of order.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from contracts.kafka import OffsetRange
from contracts.settings import Settings
from features.history import cut_alike
from models.objects import open_objects
from models.snapshot_files import read_file
from models.snapshot_manifest import SnapshotManifest

Firsts = tuple[dict[int, int], ...]
"""For each file of a topic the smallest offset by partition, in this file or any later one."""


@dataclass(frozen=True, slots=True)
class SnapshotHistory:
    """`features.history.History` and `features.recompute.Topics` of a snapshot."""

    settings: Settings
    manifest: SnapshotManifest
    firsts: dict[str, Firsts]

    @classmethod
    def opened(
        cls,
        settings: Settings,
        manifest: SnapshotManifest,
        progress: Callable[[int], None] = lambda count: None,
    ) -> "SnapshotHistory":
        """Look through the files once; `progress` is told a file's rows when it has been read.

        Raises:
            ObjectStoreError: a file is missing, or its bytes are not those that were written.
        """
        topics = (settings.kafka.topic, settings.kafka.labels_topic)
        return cls(
            settings, manifest, {t: _firsts(settings, manifest, t, progress) for t in topics}
        )

    def spans(self) -> list[OffsetRange]:
        """The transactions' offsets by partition."""
        return self._spans(self.settings.kafka.topic)

    def first_offset(self, partition: int) -> int:
        """See `History`."""
        return next(span.start for span in self.spans() if span.partition == partition)

    def read(self, partition: int, start: int, end: int) -> Iterator[pa.Table]:
        """See `History`."""
        span = OffsetRange(self.settings.kafka.topic, partition, start, end)
        yield from cut_alike(self._rows(span.topic, [span]))

    def transactions(self) -> Iterator[pa.Table]:
        """See `Topics`; the partitions alternate, so that each file is read once."""
        yield from self._rows(self.settings.kafka.topic)

    def labels(self) -> Iterator[pa.Table]:
        """See `Topics`; the partitions alternate."""
        yield from self._rows(self.settings.kafka.labels_topic)

    def _spans(self, topic: str) -> list[OffsetRange]:
        return [span for span in self.manifest.ranges if span.topic == topic]

    def _rows(self, topic: str, spans: Sequence[OffsetRange] = ()) -> Iterator[pa.Table]:
        """A topic's rows in `spans`, or all, in tables of any size but none.

        Each partition's come in offset order.
        """
        objects = open_objects(self.settings.object_store)
        later = [*self.firsts[topic][1:], {}]
        waiting = dict[int, pa.Table]()
        for file, following in zip(self.manifest.part(topic).files, later, strict=True):
            records = read_file(objects, file)
            for span in spans or self._spans(topic):
                number = span.partition
                held = [waiting[number]] if number in waiting else []
                rows = pa.concat_tables([*held, _within(records, span)]).sort_by("offset")
                until = following.get(number, span.end)
                ready = int(np.searchsorted(rows["offset"].to_numpy(), until))
                if ready:
                    yield rows.slice(0, ready)
                waiting[number] = rows.slice(ready)


def _within(table: pa.Table, span: OffsetRange) -> pa.Table:
    partitions, offsets = table["partition"].to_numpy(), table["offset"].to_numpy()
    is_own = (partitions == span.partition) & (span.start <= offsets) & (offsets < span.end)
    return table.filter(pa.array(is_own))


def _firsts(
    settings: Settings, manifest: SnapshotManifest, topic: str, progress: Callable[[int], None]
) -> Firsts:
    objects = open_objects(settings.object_store)
    found: list[dict[int, int]] = []
    smallest: dict[int, int] = {}
    for file in reversed(manifest.part(topic).files):
        rows = read_file(objects, file, columns=("partition", "offset"))
        for row in rows.group_by("partition").aggregate([("offset", "min")]).to_pylist():
            known = smallest.get(row["partition"], row["offset_min"])
            smallest[row["partition"]] = min(known, row["offset_min"])
        found.append(dict(smallest))
        progress(len(rows))
    return tuple(reversed(found))
