"""Features at decision time: read state, fold, write state; and the state's own recovery.

Order per batch, and what a crash between two steps does:
1. `ensure(partition, f)`: the store's state must allow a start at offset f. A store behind f is
   caught up from Kafka; one without a manifest, or ahead of f, is rebuilt.
2. `serve`: states and the tiles across cards are read; states are folded, and written with all
   events from the committed offset on as a tail. A crash before the write loses nothing; after it,
   the same events supersede the tail. `serve_ahead` leaves the write under way.
3. the caller sends its decisions and calls `mark` before it commits them. A crash before `mark`
   leaves the manifest behind: the next start replays from its own committed offset, which the tail
   allows.
"""

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.errors import StateError
from contracts.kafka import OffsetRange
from contracts.settings import Settings
from contracts.spans import Span, spans_of
from contracts.transaction_rows import CARD_ID, EventRows, events_of
from features.batch_fold import folded_batch, offsets_of_cards, unusable
from features.card_groups import grouped_by_card
from features.clocks import clocks_after, clocks_of_batch, stamps_ms
from features.definition import FEATURE_SET, FeatureSet
from features.encoding import Encoded, encoded
from features.engine import FeatureMatrix, matrix
from features.history import History, KafkaHistory
from features.partition_clock import PartitionClocks, known_clock
from features.redis_tile_store import RedisTileStore
from features.state import OK
from features.store import UNKNOWN, Manifest, RedisStateStore, StateStore, Stored, Written
from features.tile_reader import TileReader

Progress = Callable[[int], None]
Settle = Callable[[], None]
"""Waits until a batch's states have been written, and then counts it as served."""
States = dict[str, bytes | None]
"""States of a partition's cards; None of one that has none."""

HELD_CARDS = 10_000
"""So many of a partition's states are kept in this process: some 15 MB."""


def store_prefix(topic: str, feature_set: FeatureSet = FEATURE_SET) -> str:
    """Key prefix of a feature set's state for a topic: two sets live side by side."""
    return f"fraud:{feature_set.hash}:{topic}"


@dataclass(frozen=True, slots=True)
class Asked:
    """A batch by card: rows `order[bounds[c]:bounds[c + 1]]` are those of card c.

    `homes` are the partitions' spans of cards; `lacking` by partition the generation and cards
    whose states `stored` waits for.
    """

    order: NDArray[np.int64]
    bounds: NDArray[np.int64]
    cards: Sequence[str]
    homes: Sequence[Span]
    lacking: Mapping[int, tuple[str, Sequence[str]]]
    stored: Callable[[], Mapping[int, Stored]]


class FeatureServer:
    """The features of micro-batches over any partitions; not for use by two threads."""

    def __init__(
        self,
        store: StateStore,
        topic: str,
        *,
        history: History | None = None,
        tiles: TileReader | None = None,
        reader: str = "",
        feature_set: FeatureSet = FEATURE_SET,
    ) -> None:
        if any(feature.is_replay_only for feature in feature_set.features):
            raise ValueError("stored state forgets what features for replays alone look back to")
        self.topic = topic
        self._store = store
        self._history = history
        self._tiles = tiles
        self._reader = reader
        self._set = feature_set
        self._clocks = PartitionClocks()
        self._generations: dict[int, str] = {}
        self._marked: dict[int, int] = {}
        self._served: dict[int, int] = {}
        self._spoilt: set[int] = set()
        self._held: dict[int, States] = {}

    def serve(self, events: EventRows | pa.Table, *, committed: Mapping[int, int]) -> FeatureMatrix:
        """`serve_ahead`, and wait for the state to be written.

        Raises:
            StateError: a state was wiped, rebuilt, or is ahead: call `ensure`, then serve again.
            StoreError: the store does not answer or refuses a write.
            TilesError: the tiles across cards are not complete in time.
        """
        features, settle = self.serve_ahead(events, committed=committed)
        settle()
        return features

    def serve_ahead(
        self, events: EventRows | pa.Table, *, committed: Mapping[int, int]
    ) -> tuple[FeatureMatrix, Settle]:
        """Features of a batch; the state after it is on its way to the store.

        A partition's events stand together in offset order; any offset from the partition's
        `committed` one on may be fed again later. A micro-batch may come in several calls with one
        committed offset, in offset order. What is served of a partition goes on where `ensure` or
        the last call ended.

        Call what is returned beside before anything made from the features leaves the process, and
        before the next batch: it waits for the store. Until then, and when it fails, the batch
        counts as not served. Both raise what `serve` does.
        """
        rows = events if isinstance(events, EventRows) else events_of(events)
        values = np.empty((len(rows), len(self._set.features)))
        if len(rows) == 0:
            return matrix(values, np.empty(0, dtype=np.int64)), lambda: None
        spans = spans_of(rows.partitions)
        for span in spans:
            self._generation(span.partition)
        before = np.array([self._clocks.now(s.partition) for s in spans])
        clocks = clocks_of_batch(rows.timestamps_us, rows.partitions, before)
        made = encoded(rows)
        asked = self._ask(rows, made)
        if self._set.shared:
            self._readable_tiles().fill(made, clocks, values)
        served, settle_cards = self._fold(rows, made, spans, asked, committed, values)

        def settle() -> None:
            settle_cards()
            for s in spans:
                last = int(clocks[s.stop - 1])
                self._clocks.advance(s.partition, int(rows.offsets[s.start]), last)

        return served, settle

    def _readable_tiles(self) -> TileReader:
        if self._tiles is None:
            raise StateError(
                "this server has no tiles to make cross-card features from",
                value=self.topic,
                remedy="Give it a tile reader, or a feature set of cards alone",
            )
        return self._tiles

    def _ask(self, rows: EventRows, made: Encoded) -> "Asked":
        """Group a batch by card, and have the states read that are not held.

        What is held was written by this process, and a write is refused when others wrote since.
        """
        order, bounds = grouped_by_card(rows, made.hashes)
        heads = order[bounds[:-1]]
        cards = [card.decode() for card in rows.rows.words(CARD_ID, heads)]
        homes = spans_of(rows.partitions[heads])
        lacking = {}
        for s in homes:
            held = self._held.get(s.partition, {})
            unknown = [card for card in cards[s.rows] if card not in held]
            if unknown or s.partition not in self._served:
                lacking[s.partition] = (self._generation(s.partition), unknown)
        stored = self._store.reading(lacking) if lacking else dict
        return Asked(order, bounds, cards, homes, lacking, stored)

    def _fold(
        self,
        rows: EventRows,
        made: Encoded,
        spans: Sequence[Span],
        asked: Asked,
        committed: Mapping[int, int],
        values: NDArray[np.float64],
    ) -> tuple[FeatureMatrix, Settle]:
        """Fold a batch; the features with those of cards written, and the states' write."""
        cards, homes = asked.cards, asked.homes
        held, before = self._states(asked)
        states = [held[s.partition][card] for s in homes for card in cards[s.rows]]
        offsets = offsets_of_cards(rows.offsets, spans, homes, committed)
        folded = folded_batch(self._set, made.events[asked.order], asked.bounds, states, offsets)
        if folded.outcome != OK:
            partition = next(s.partition for s in homes if s.start <= folded.card < s.stop)
            self._spoilt.add(partition)
            raise unusable(folded.outcome, partition, cards[folded.card])
        made_states = folded.states()
        after = {s.partition: int(rows.offsets[s.stop - 1]) + 1 for s in spans}
        written = {
            s.partition: Written(
                self._generation(s.partition),
                dict(zip(cards[s.rows], made_states[s.rows], strict=True)),
                after[s.partition],
                before[s.partition],
            )
            for s in homes
        }
        arrived = self._store.writing(written)

        def settle() -> None:
            arrived()
            self._served.update(after)
            self._hold(held, written)

        return folded.write_into(values, asked.order), settle

    def _states(self, asked: Asked) -> tuple[dict[int, States], dict[int, int]]:
        """By partition the states of a batch's cards, no longer held, and the offset after them."""
        stored = asked.stored()
        held = {s.partition: self._held.pop(s.partition, {}) for s in asked.homes}
        for partition, found in stored.items():
            self._refuse_stale(partition, found)
            held[partition].update(zip(asked.lacking[partition][1], found.states, strict=True))
        served = {partition: found.served for partition, found in stored.items()}
        return held, {p: served.get(p, self._served.get(p, UNKNOWN)) for p in held}

    def _hold(self, held: dict[int, States], written: Mapping[int, Written]) -> None:
        """Keep what was written, so that it need not be read again."""
        for partition, wrote in written.items():
            states = held[partition] if len(held[partition]) < HELD_CARDS else {}
            states.update(wrote.states)
            self._held[partition] = states

    def mark(self, places: Mapping[int, tuple[int, int]]) -> None:
        """Record by partition (base, next) that states may be replayed from base, go on at next."""
        manifests = {}
        for partition, (base, after) in places.items():
            base_clock, next_clock = self._clocks.marked(partition, base, after)
            generation = self._generation(partition)
            manifests[partition] = Manifest(generation, base, after, base_clock, next_clock)
        served = {p: self._served[p] for p in manifests if p in self._served}
        self._store.mark_many(manifests, served)
        for partition, manifest in manifests.items():
            self._marked[partition] = manifest.next_offset
            if self._tiles is not None:
                self._tiles.note(f"{self._reader}:{partition}", manifest.base_clock)

    def ensure(self, partition: int, start_offset: int, progress: Progress | None = None) -> None:
        """Make the state such that a batch may start at `start_offset`.

        A partition whose states `serve` found unusable is rebuilt.

        Raises:
            StateError: the past is needed and this server has no history.
        """
        self._held.pop(partition, None)
        manifest = self._store.manifest(partition)
        is_spoilt = partition in self._spoilt
        if manifest is None or is_spoilt or start_offset < manifest.base_offset:
            self.rebuild(partition, start_offset, progress)
            self._reserve(partition)
            return
        self._generations[partition] = manifest.generation
        self._marked[partition] = manifest.next_offset
        self._served.pop(partition, None)
        self._clocks.set(
            partition,
            min(start_offset, manifest.next_offset),
            self._clock_at(partition, min(start_offset, manifest.next_offset), manifest),
        )
        if start_offset > manifest.next_offset:
            try:
                self._catch_up(partition, manifest.next_offset, start_offset, progress)
            except StateError:  # an earlier catch-up was cut short: some states are ahead
                self.rebuild(partition, start_offset, progress)
        self._reserve(partition)

    def _reserve(self, partition: int) -> None:
        if self._tiles is not None:
            self._tiles.reserve(f"{self._reader}:{partition}", self._clocks.now(partition))

    def _clock_at(self, partition: int, offset: int, manifest: Manifest) -> int:
        """The partition's clock before an offset: noted, or from the records before it."""
        clock = known_clock(manifest, offset)
        if clock is not None:
            return clock
        start, clock = self._past().first_offset(partition), 0
        if manifest.base_clock != UNKNOWN and manifest.base_offset <= offset:
            start, clock = manifest.base_offset, manifest.base_clock
        if start < offset:
            for events in self._past().read(partition, start, offset):
                clock = int(clocks_after(clock, stamps_ms(events))[-1])
        return clock

    def rebuild(self, partition: int, end_offset: int, progress: Progress | None = None) -> None:
        """Forget the partition's state and fold its whole past up to `end_offset`."""
        start = min(self._past().first_offset(partition), end_offset) if end_offset > 0 else 0
        generation = uuid.uuid4().hex[:12]
        self._store.begin(partition, generation)
        self._generations[partition] = generation
        self._marked.pop(partition, None)
        self._served.pop(partition, None)
        self._held.pop(partition, None)
        self._clocks.set(partition, start, 0)
        self._catch_up(partition, start, end_offset, progress)
        self._spoilt.discard(partition)

    def _catch_up(self, partition: int, start: int, end: int, progress: Progress | None) -> None:
        if start < end:
            for events in self._past().read(partition, start, end):
                self._fold_past(partition, events_of(events), end)
                clock = clocks_after(self._clocks.now(partition), stamps_ms(events))[-1]
                self._clocks.set(partition, end, int(clock))
                if progress is not None:
                    progress(len(events))
        self.mark({partition: (end, end)})

    def _fold_past(self, partition: int, rows: EventRows, end: int) -> None:
        """Bring the states after some past events; what the features were is not wanted."""
        values = np.empty((len(rows), len(self._set.features)))
        spans, made = [Span(partition, 0, len(rows))], encoded(rows)
        _, settle = self._fold(rows, made, spans, self._ask(rows, made), {partition: end}, values)
        settle()

    def _refuse_stale(self, partition: int, stored: Stored) -> None:
        """A wiped store has another generation, one that was restored an older manifest, and one
        that lost its last writes older states than this process has written.
        """
        marked = self._marked.get(partition)
        is_older = marked is not None and (
            stored.next_offset is None or stored.next_offset < marked
        )
        is_older |= stored.served != self._served.get(partition, stored.served)
        if is_older or stored.generation != self._generation(partition):
            self._generations.pop(partition, None)
            raise StateError(
                f"feature state of partition {partition} was wiped, rebuilt or restored meanwhile",
                value=(stored.generation, stored.next_offset),
                remedy="Ensure it again: what is missing is folded from Kafka",
            )

    def _past(self) -> History:
        if self._history is None:
            raise StateError(
                "feature state is missing or stale and there is no history to build it from",
                value=self.topic,
                remedy="Give the feature server a history, or run `fraud rebuild-state`",
            )
        return self._history

    def _generation(self, partition: int) -> str:
        if partition not in self._generations:
            raise StateError(
                f"feature state of partition {partition} is not ensured",
                remedy="Call `ensure` with the batch's first offset",
            )
        return self._generations[partition]


def make_store(settings: Settings, pipeline: str = "") -> RedisStateStore:
    """The production store of this feature set and topic; each pipeline has its own."""
    prefix = store_prefix(settings.kafka.topic)
    return RedisStateStore(settings.redis.url, f"{prefix}:{pipeline}" if pipeline else prefix)


def make_tile_store(settings: Settings) -> RedisTileStore:
    """The production store of this feature set's tiles; pipelines share it."""
    return RedisTileStore(settings.redis.url, store_prefix(settings.kafka.topic))


def make_server(
    settings: Settings, pipeline: str = "", on_wait: Callable[[], None] = lambda: None
) -> FeatureServer:
    """The production server: Redis for states and tiles, Kafka for the past."""
    return FeatureServer(
        make_store(settings, pipeline),
        settings.kafka.topic,
        history=KafkaHistory(settings.kafka),
        tiles=TileReader(
            make_tile_store(settings), wait_seconds=settings.tiles.wait_seconds, on_wait=on_wait
        ),
        reader=pipeline or "stream",
    )


def rebuild_state(
    settings: Settings,
    store: StateStore,
    ranges: Iterable[OffsetRange],
    progress: Progress | None = None,
) -> None:
    """Build the state of each range's partition up to the range's end, from Kafka alone.

    The past before a range's start is folded too: a state always holds the whole past.
    """
    server = FeatureServer(store, settings.kafka.topic, history=KafkaHistory(settings.kafka))
    for span in ranges:
        if span.topic == settings.kafka.topic:
            server.rebuild(span.partition, span.end, progress)
