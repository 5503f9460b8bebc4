"""Several partitions in one batch: decided as each alone, marked as served, apart in trouble."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pyarrow as pa
from inference_fakes import FakeModel, source, transaction
from scorer_rig import decisions, feature_server, scorer

from contracts.errors import BrokerError, TilesError
from contracts.messages import Tier
from features.definition import FEATURE_SET
from features.engine import FeatureMatrix
from features.serving import FeatureServer
from features.store import Manifest, MemoryStateStore
from inference.records import Answers, SourceBatch


def test_partitions_together_are_decided_as_each_alone() -> None:
    """A batch over partitions gives the bytes that its parts give, whatever they are."""
    values = {p: [transaction(n, card_id=f"c{p}-{n % 4}") for n in range(30)] for p in (0, 2, 5)}
    parts = {p: source(held, first=7, partition=p) for p, held in values.items()}
    committed = dict.fromkeys(values, 7)
    together = scorer().score(joined(parts.values()), committed=committed, model=FakeModel())
    alone = Answers()
    judge = scorer()
    for part in parts.values():
        alone.extend(judge.score(part, committed=committed, model=FakeModel()))
    assert sorted(together.rows(), key=repr) == sorted(alone.rows(), key=repr)
    assert together.tally == alone.tally


def test_a_partition_in_trouble_does_not_take_the_others_with_it() -> None:
    """Only the records of the partition whose state cannot be had are decided by the rules."""
    features = NoPartition(1, feature_server(MemoryStateStore()))
    judge = scorer(features)
    for first in (0, 5):
        values = [transaction(n) for n in range(first, first + 5)]
        parts = [source(values, first=first, partition=p) for p in (0, 1)]
        answers = judge.score(joined(parts), committed={0: 0, 1: 0}, model=FakeModel())
        tiers = {(d.source.partition, d.tier) for d in decisions(answers)}
        assert tiers == {(0, Tier.MODEL), (1, Tier.FALLBACK)}
        assert answers.tally["store_failures"] == 1
        assert len(decisions(answers)) == 10
    assert features.ensured.count(0) == 1, "the other's state was read from Kafka again"


def test_what_was_served_is_marked_before_the_state_moves_on_without_it() -> None:
    """Batches that fail after one that did not: its mark comes first, and no older one after it."""
    features = Journal()
    judge = scorer(features)
    for first, is_failing in ((0, False), (1, True), (2, True)):
        features.is_failing = is_failing
        batch = source([transaction(first)], first=first)
        judge.score(batch, committed={0: 0}, model=FakeModel())
    judge.mark([0])
    assert features.lines == ["ensure 0", "serve", "mark 0 to 1", "ensure 2"]


class Journal:
    """A feature server that writes down what it is asked; it may be told to fail."""

    def __init__(self) -> None:
        self.is_failing = False
        self.lines: list[str] = []

    def ensure(self, partition: int, start_offset: int) -> None:
        """Write it down."""
        self.lines.append(f"ensure {start_offset}")

    def serve_ahead(
        self, events: pa.Table, *, committed: Mapping[int, int]
    ) -> tuple[FeatureMatrix, Callable[[], None]]:
        """Nothing known, or too late."""
        if self.is_failing:
            raise TilesError("the batch is older than the tiles that are kept")
        self.lines.append("serve")
        size = len(events)
        nothing = np.zeros(size, dtype=np.bool_)
        features = FeatureMatrix(np.zeros((size, len(FEATURE_SET.names))), nothing, nothing)
        return features, lambda: None

    def mark(self, places: Mapping[int, tuple[int, int]]) -> None:
        """Write it down."""
        self.lines += [f"mark {base} to {after}" for base, after in places.values()]


def test_what_is_marked_is_what_was_served() -> None:
    """A mark names the offsets of the last batch of a partition that is still ours, once."""
    store = MemoryStateStore()
    judge = scorer(feature_server(store))
    for partition in (0, 1):
        batch = source([transaction(n) for n in range(4)], partition=partition)
        judge.score(batch, committed={partition: 0}, model=FakeModel())
    assert [store.manifest(p).next_offset for p in (0, 1)] == [0, 0]  # type: ignore[union-attr]
    judge.forget(1)
    judge.mark([0, 1])
    assert [store.manifest(p).next_offset for p in (0, 1)] == [4, 0]  # type: ignore[union-attr]
    taken_over = Manifest(store.manifest(0).generation, 9, 9)  # type: ignore[union-attr]
    store.mark(0, taken_over)
    judge.mark([0, 1])
    assert store.manifest(0) == taken_over


def joined(parts: Iterable[SourceBatch]) -> SourceBatch:
    """Batches of several partitions as one."""
    held = list(parts)
    arrays = (
        np.concatenate([getattr(part, name) for part in held])
        for name in ("partitions", "offsets", "timestamps_us")
    )
    lists = (
        [value for part in held for value in getattr(part, name)]
        for name in ("keys", "values", "sent")
    )
    return SourceBatch(*arrays, *lists)


class NoPartition:
    """A feature server that has lost the state of one partition and cannot get at its past."""

    def __init__(self, lost: int, inner: FeatureServer) -> None:
        self._lost = lost
        self._inner = inner
        self.ensured: list[int] = []

    def ensure(self, partition: int, start_offset: int) -> None:
        """Fails for the lost one."""
        self.ensured.append(partition)
        if partition == self._lost:
            raise BrokerError("Kafka is out of reach")
        self._inner.ensure(partition, start_offset)

    def serve_ahead(
        self, events: pa.Table, *, committed: Mapping[int, int]
    ) -> tuple[FeatureMatrix, Callable[[], None]]:
        """As the server does."""
        return self._inner.serve_ahead(events, committed=committed)

    def mark(self, places: Mapping[int, tuple[int, int]]) -> None:
        """As the server does."""
        self._inner.mark(places)
