"""Features of chosen cards' events, from a whole topic read once, in bounded memory."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contracts.columns import EVENT_SCHEMA
from contracts.kafka import OffsetRange, full_ranges, read_range
from contracts.settings import KafkaSettings
from contracts.transaction_rows import events_of
from features.clocks import clocks_after, stamps_ms
from features.definition import FEATURE_SET, FeatureSet
from features.encoding import encoded
from features.engine import FeatureMatrix, replay_cards
from features.history import KafkaHistory
from features.kafka_tile_source import labels_of
from features.tile_fold import EVENTS, LABELS, TileFolder, everything
from features.tile_history import close_for_good
from features.tile_reader import TileReader
from features.tile_store import MemoryTileStore

READ_RECORDS = 50_000
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Recomputed:
    """The chosen cards' events in the order of reading, and their features."""

    events: pa.Table
    features: FeatureMatrix


class Topics(Protocol):
    """Every transaction and label: a table holds rows of one partition, and each partition's rows
    come in offset order; which partition's turn it is does not matter.
    """

    def transactions(self) -> Iterator[pa.Table]:
        """All transactions."""

    def labels(self) -> Iterator[pa.Table]:
        """All labels."""


class WholeTopics:
    """Those in Kafka."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka

    def transactions(self) -> Iterator[pa.Table]:
        """All transactions, one partition after the other."""
        history = KafkaHistory(self._kafka)
        for span in full_ranges(self._kafka, self._kafka.topic):
            yield from history.read(span.partition, span.start, span.end)

    def labels(self) -> Iterator[pa.Table]:
        """All labels, one partition after the other."""
        for span in full_ranges(self._kafka, self._kafka.labels_topic):
            yield from self._labels(span)

    def _labels(self, span: OffsetRange) -> Iterator[pa.Table]:
        for records in read_range(self._kafka, span, batch_size=READ_RECORDS):
            yield labels_of(records)


def recompute(
    transactions: Iterable[pa.Table],
    labels: Iterable[pa.Table],
    cards: Iterable[str],
    feature_set: FeatureSet = FEATURE_SET,
) -> Recomputed:
    """The features of all events of `cards`; both inputs hold whole partitions, in offset order."""
    wanted = pa.array(sorted(set(cards)), pa.string())
    folder = everything(())
    kept, clocks = [EVENT_SCHEMA.empty_table()], [np.empty(0, dtype=np.int64)]
    for events in transactions:
        chosen, at = _fold(folder, events, wanted)
        kept.append(chosen)
        clocks.append(at)
    _fold_labels(folder, labels)
    own = pa.concat_tables(kept)
    matrix = replay_cards(own, feature_set)
    if len(own) and feature_set.shared:
        reader = TileReader(close_for_good(folder), feature_set=feature_set)
        reader.fill(encoded(events_of(own)), np.concatenate(clocks), matrix.values)
    return Recomputed(own, matrix)


def refold(
    topics: Topics, newest: int, progress: Progress = lambda count: None
) -> tuple[MemoryTileStore, pa.Table]:
    """All tiles anew, and up to `newest` of each partition's last transactions.

    `progress` is told transactions as they are folded.
    """
    folder = everything(())
    last: dict[int, pa.Table] = {}
    for events in topics.transactions():
        _fold(folder, events, pa.array([], pa.string()))
        progress(len(events))
        if len(events):
            number = int(events["partition"][0].as_py())
            last[number] = events.slice(max(0, len(events) - newest))
    _fold_labels(folder, topics.labels())
    tails = pa.concat_tables([EVENT_SCHEMA.empty_table(), *last.values()])
    return close_for_good(folder), tails


def _fold_labels(folder: TileFolder, labels: Iterable[pa.Table]) -> None:
    for table in labels:
        if len(table):
            folder.labels(_opened(folder, LABELS, table), table, _end(table))


def _fold(
    folder: TileFolder, events: pa.Table, wanted: pa.Array
) -> tuple[pa.Table, NDArray[np.int64]]:
    """Fold a table; the chosen cards' rows of it and their partition's clock at each."""
    if len(events) == 0:
        return events, np.empty(0, dtype=np.int64)
    partition = _opened(folder, EVENTS, events)
    clocks = clocks_after(folder.places[EVENTS, partition].clock, stamps_ms(events))
    folder.events(partition, events, _end(events))
    mask = pc.is_in(events["card_id"], wanted)
    return events.filter(mask), clocks[mask.to_numpy()]


def _opened(folder: TileFolder, kind: str, table: pa.Table) -> int:
    partition = int(table["partition"][0].as_py())
    folder.open(kind, partition)
    return partition


def _end(table: pa.Table) -> int:
    return int(table["offset"][-1].as_py()) + 1
