"""Is the stored state right? Build sampled cards' state again from Kafka and let both serve.

The store's bytes may differ from a rebuild's (a tail that can be replayed, or none), so the check
compares what they would serve: one probe per card, the card's newest event under a new id at the
next offset. Both sides serve from copies in memory, so production is only read.

Tiles across cards are compared in the same way: newest events read both the stored ones and those
folded again from the topics, at the moment up to which the store says that it is complete.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contracts.errors import StateError
from contracts.kafka import full_ranges
from contracts.settings import Settings
from contracts.transaction_rows import events_of
from features import layout
from features.definition import CARD_SET, FEATURE_SET
from features.encoding import encoded
from features.engine import FeatureMatrix
from features.history import History, KafkaHistory
from features.recompute import Topics, WholeTopics, refold
from features.serving import FeatureServer, make_store, make_tile_store
from features.state_store import Manifest, MemoryStateStore, StateStore, Written
from features.tile_reader import TileReader
from features.tile_store import TileStore

NEWEST_EVENTS = 50_000
"""Events per partition whose cards are sampled."""
COPY_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class StateReport:
    """`partitions` were compared by `checked` cards, of which `mismatched` would serve otherwise.

    `unbuilt` partitions have no state yet: a scorer would build it before its first batch.
    """

    partitions: int
    unbuilt: int
    checked: int
    mismatched: int
    tiles_checked: int = 0
    tiles_mismatched: int = 0

    @property
    def is_clean(self) -> bool:
        """No card would be served other features than Kafka says."""
        return self.mismatched == 0 and self.tiles_mismatched == 0


def check_state(settings: Settings, sample: int) -> StateReport:
    """Compare the production store with Kafka by `sample` cards of each partition.

    Raises:
        BrokerError, StoreError: a server does not answer.
        StateError: the stream moves on too fast for a consistent copy.
    """
    store, history = make_store(settings), KafkaHistory(settings.kafka)
    partitions = [span.partition for span in full_ranges(settings.kafka, settings.kafka.topic)]
    report = check_partitions(store, history, settings.kafka.topic, partitions, sample)
    topics = WholeTopics(settings.kafka)
    checked, wrong = check_tiles(make_tile_store(settings), topics, sample)
    return replace(report, tiles_checked=checked, tiles_mismatched=wrong)


def check_tiles(store: TileStore, topics: Topics, sample: int) -> tuple[int, int]:
    """Compare stored tiles by the newest events' entities; how many events, and how many differ."""
    manifest = store.manifest()
    if manifest is None:
        return 0, 0
    again, newest = refold(topics, sample)
    events_end = manifest.transactions_ms + layout.TILE_DELAY
    labels_end = manifest.labels_ms + layout.LABEL_DELAY
    clocks = np.full(len(newest), min(events_end, labels_end), dtype=np.int64)
    read = []
    for side in (store, again):
        values = np.zeros((len(newest), len(FEATURE_SET.names)))
        if len(newest):
            TileReader(side).fill(encoded(events_of(newest)), clocks, values)
        read.append(np.nan_to_num(values, nan=-1.0))
    return len(newest), int((read[0] != read[1]).any(axis=1).sum())


def check_partitions(
    store: StateStore, history: History, topic: str, partitions: Sequence[int], sample: int
) -> StateReport:
    """See `check_state`; over any store and history."""
    report = StateReport(0, 0, 0, 0)
    for partition in partitions:
        manifest = store.manifest(partition)
        if manifest is None:
            report = replace(report, unbuilt=report.unbuilt + 1)
            continue
        checked, mismatched = _check(store, history, topic, partition, sample)
        report = replace(
            report,
            partitions=report.partitions + 1,
            checked=report.checked + checked,
            mismatched=report.mismatched + mismatched,
        )
    return report


def _check(
    store: StateStore, history: History, topic: str, partition: int, sample: int
) -> tuple[int, int]:
    manifest = _manifest(store, partition)
    start = max(history.first_offset(partition), manifest.next_offset - NEWEST_EVENTS)
    newest = list(history.read(partition, start, manifest.next_offset))
    if not newest:
        return 0, 0
    cards = _sampled(pa.concat_tables(newest), sample)
    copy, manifest = _consistent_copy(store, partition, cards)
    probes = _probes(pa.concat_tables(newest), cards, manifest.next_offset)
    rebuilt = FeatureServer(MemoryStateStore(), topic, history=history, feature_set=CARD_SET)
    rebuilt.rebuild(partition, manifest.next_offset)
    kept = FeatureServer(copy, topic, history=history, feature_set=CARD_SET)
    kept.ensure(partition, manifest.next_offset)
    served = [
        server.serve(probes, committed={partition: manifest.next_offset})
        for server in (kept, rebuilt)
    ]
    return len(cards), int(np.sum(_differ(*served)))


def _manifest(store: StateStore, partition: int) -> Manifest:
    manifest = store.manifest(partition)
    if manifest is None:
        raise StateError(
            "feature state was wiped while it was checked",
            value=partition,
            remedy="Run the check again; a scorer rebuilds the state before its next batch",
        )
    return manifest


def _sampled(newest: pa.Table, sample: int) -> list[str]:
    cards: list[str] = pc.unique(newest["card_id"]).to_pylist()
    return cards[-sample:]


def _consistent_copy(
    store: StateStore, partition: int, cards: list[str]
) -> tuple[MemoryStateStore, Manifest]:
    """The cards' states in memory, read while no state was rebuilt or marked in between."""
    for _ in range(COPY_ATTEMPTS):
        before = _manifest(store, partition)
        stored = store.read(partition, before.generation, cards)
        if stored.generation == before.generation and store.manifest(partition) == before:
            copy = MemoryStateStore()
            copy.begin(partition, before.generation)
            pairs = zip(cards, stored.states, strict=True)
            held = {card: state for card, state in pairs if state is not None}
            copy.write(partition, Written(before.generation, held))
            copy.mark(partition, before)
            return copy, before
    raise StateError(
        "the stream writes faster than its state can be read",
        value=partition,
        remedy="Check with fewer cards, or when less is going on",
    )


def _probes(newest: pa.Table, cards: list[str], next_offset: int) -> pa.Table:
    """A card's newest event again, under a new id, from `next_offset` on."""
    last = {card: row for row, card in enumerate(newest["card_id"].to_pylist())}
    probes = newest.take(pa.array([last[card] for card in cards]))
    offsets = pa.array(range(next_offset, next_offset + len(cards)), pa.int64())
    names = pa.array([f"state-check-{number}" for number in range(len(cards))], pa.string())
    for name, column in (("offset", offsets), ("transaction_id", names)):
        probes = probes.set_column(probes.schema.get_field_index(name), name, column)
    return probes


def _differ(one: FeatureMatrix, other: FeatureMatrix) -> NDArray[np.bool_]:
    same = (one.values == other.values) | (np.isnan(one.values) & np.isnan(other.values))
    differ: NDArray[np.bool_] = ~same.all(axis=1) | (one.is_late != other.is_late)
    return differ
