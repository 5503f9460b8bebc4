"""Champions: taken over when ready, kept when anything is wrong; one version per micro-batch."""

import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest
from inference_fakes import FakeModel, FakeRegistry, source, transaction

from contracts.errors import BundleError, RegistryError, StoreError
from features.definition import FEATURE_SET
from inference.model_pool import HELD_VERSIONS, ModelPool
from inference.pins import MemoryPins
from inference.records import Answers, SourceBatch
from inference.spark_worker import NO_MODEL, Task, Worker
from inference.tallies import MemoryTallies, Meter

METER = Meter(MemoryTallies())


def pool_of(registry: FakeRegistry) -> ModelPool:
    """A pool for this code's features."""
    return ModelPool(registry, FEATURE_SET.hash)


def registry_of(*versions: str, champion: str | None = None) -> FakeRegistry:
    """A registry with these versions."""
    return FakeRegistry(champion, {version: FakeModel(version) for version in versions})


def test_there_is_no_champion_until_the_alias_names_one() -> None:
    """An empty registry is no trouble; a champion appears at the next look."""
    registry = registry_of("1")
    pool = pool_of(registry)
    pool.refresh()
    assert pool.champion is None
    registry.champion = "1"
    pool.refresh()
    assert pool.champion is not None
    assert pool.champion.version == "1"


def test_a_challenger_scores_in_shadow_unless_it_is_the_champion() -> None:
    """It is loaded beside the champion, and left once it has been promoted."""
    registry = registry_of("1", "2", champion="1")
    pool = pool_of(registry)
    pool.refresh()
    pool.refresh_challenger()
    assert pool.challenger is None
    registry.challenger = "2"
    pool.refresh_challenger()
    assert pool.challenger is not None
    assert pool.challenger.version == "2"
    registry.champion = "2"
    pool.refresh()
    pool.refresh_challenger()
    assert pool.challenger is None


def test_a_challenger_that_cannot_be_used_is_left_out_and_not_tried_again() -> None:
    """The champion goes on; a broken bundle is not downloaded at every look."""
    registry = registry_of("1", champion="1")
    registry.models["2"] = FakeModel("2", feature_hash="another")
    registry.challenger = "2"
    pool = pool_of(registry)
    pool.refresh()
    for _ in range(3):
        pool.refresh_challenger()
    assert pool.challenger is None
    assert pool.champion is not None
    assert registry.loads == ["1", "2"]


def test_a_challenger_is_tried_again_after_a_trouble_that_passes() -> None:
    """A registry that does not answer for a moment does not end the shadow for good."""
    registry = registry_of("1", "2", champion="1")
    pool = pool_of(registry)
    pool.refresh()
    registry.challenger, registry.failure = "2", RegistryError("MLflow does not answer")
    pool.refresh_challenger()
    assert pool.challenger is None
    registry.failure = None
    pool.refresh_challenger()
    assert pool.challenger is not None


def test_a_promotion_and_a_rollback_take_over_at_the_next_look() -> None:
    """The alias is followed forwards and back, and a held version is not loaded twice."""
    registry = registry_of("1", "2", champion="1")
    pool = pool_of(registry)
    for version in ("1", "2", "1"):
        registry.champion = version
        pool.refresh()
        assert pool.champion is not None
        assert pool.champion.version == version
    assert registry.loads == ["1", "2"]


@pytest.mark.parametrize("failure", [RegistryError("unreachable"), BundleError("golden rows")])
def test_a_champion_that_cannot_be_loaded_leaves_the_old_one(failure: Exception) -> None:
    """A registry that is away or a bundle that fails its test changes nothing."""
    registry = registry_of("1", "2", champion="1")
    pool = pool_of(registry)
    pool.refresh()
    registry.champion, registry.failure = "2", failure
    pool.refresh()
    assert pool.champion is not None
    assert pool.champion.version == "1"


class CountsTries(FakeRegistry):
    """Downloads fail for a reason that may pass."""

    tries = 0

    def load(self, version: str) -> FakeModel:
        """Count, and fail."""
        self.tries += 1
        raise RegistryError("model version 1 cannot be fetched")


def test_a_failed_download_is_tried_again_after_a_while() -> None:
    """Not at every look, and not never; a version that the alias names instead is tried at once."""
    registry, now = CountsTries("1"), 0.0
    pool = ModelPool(registry, FEATURE_SET.hash, clock=lambda: now)
    for at, champion, tries in ((0.0, "1", 1), (9.9, "1", 1), (10.0, "1", 2), (10.2, "2", 3)):
        now, registry.champion = at, champion
        pool.refresh()
        assert registry.tries == tries


class SlowRegistry(FakeRegistry):
    """Loads version 2 only once the test says so."""

    def __init__(self) -> None:
        super().__init__("1", {name: FakeModel(name) for name in "12"})
        self.is_asked, self.may_answer = threading.Event(), threading.Event()

    def load(self, version: str) -> FakeModel:
        """Wait, for version 2."""
        if version == "2":
            self.is_asked.set()
            assert self.may_answer.wait(10)
        return FakeRegistry.load(self, version)


def test_decisions_do_not_wait_while_another_version_is_loaded() -> None:
    """A version that is held can be had during a download."""
    registry = SlowRegistry()
    pool = pool_of(registry)
    pool.refresh()
    with ThreadPoolExecutor(2) as threads:
        loading = threads.submit(pool.get, "2")
        assert registry.is_asked.wait(10)
        held = threads.submit(pool.get, "1")
        try:
            assert held.result(5).version == "1"
        finally:
            registry.may_answer.set()
    assert loading.result().version == "2"


def test_a_model_for_other_features_is_refused() -> None:
    """A feature hash that is not this code's never gets to score."""
    registry = FakeRegistry("9", {"9": FakeModel("9", feature_hash="other")})
    pool = pool_of(registry)
    pool.refresh()
    assert pool.champion is None
    with pytest.raises(BundleError, match="other"):
        pool.get("9")


def test_a_deleted_alias_leaves_the_champion_at_work() -> None:
    """Without an alias the last champion goes on."""
    registry = registry_of("1", champion="1")
    pool = pool_of(registry)
    pool.refresh()
    registry.champion = None
    pool.refresh()
    assert pool.champion is not None


def test_only_a_few_versions_are_held() -> None:
    """Old versions make room; a dropped one can be loaded again."""
    names = [str(number) for number in range(HELD_VERSIONS + 2)]
    registry = registry_of(*names)
    pool = pool_of(registry)
    for name in names:
        pool.get(name)
    pool.get(names[-1])
    assert len(registry.loads) == len(names)
    pool.get(names[0])
    assert len(registry.loads) == len(names) + 1


def test_the_first_proposal_for_a_batch_wins() -> None:
    """A later task, or a replay, gets what the first one proposed."""
    pins = MemoryPins()
    assert pins.pin("q", 5, "1") == "1"
    assert pins.pin("q", 5, "2") == "1"
    assert pins.pin("q", 6, "2") == "2"
    assert pins.pin("other", 5, "2") == "2"


class RecordingScorer:
    """Remembers which model and committed offset each batch came with."""

    def __init__(self) -> None:
        self.calls: list[tuple[str | None, int]] = []
        self.committed: list[dict[int, int]] = []

    def score(
        self,
        batch: SourceBatch,
        *,
        committed: Mapping[int, int],
        model: FakeModel | None,
        **_: object,
    ) -> Answers:
        """No answers."""
        self.committed.append(dict(committed))
        self.calls.append((model.version if model else None, next(iter(committed.values()))))
        return Answers()

    def mark(self, partitions: Iterable[int]) -> None:
        """Nothing to mark."""


class BrokenPins:
    """A store that is away."""

    def pin(self, query_id: str, batch_id: int, proposed: str) -> str:
        """Fails."""
        raise StoreError("Redis failed")


def spark_rows(first: int, count: int, partition: int = 0) -> pa.RecordBatch:
    """What Spark's Kafka source hands over."""
    batch = source([transaction(i) for i in range(count)], first=first)
    return pa.RecordBatch.from_pydict(
        {
            "key": batch.keys,
            "value": batch.values,
            "partition": pa.array([partition] * count, pa.int32()),
            "offset": batch.offsets,
            "timestamp": pa.array(batch.timestamps_us, pa.timestamp("us", "UTC")),
            "headers": pa.array(
                [[{"key": "sent_us", "value": value}] for value in batch.sent],
                pa.list_(pa.struct([("key", pa.string()), ("value", pa.binary())])),
            ),
        }
    )


def run_task(worker: Worker, batch_id: int, *parts: pa.RecordBatch) -> None:
    """Run one task to its end."""
    results: Iterator[pa.RecordBatch] = worker.answer(Task("q", batch_id), iter(parts))
    for _ in results:
        pass


def test_a_swap_in_mid_batch_waits_for_the_next_batch() -> None:
    """All parts of a batch, and its other tasks, use the pinned version."""
    registry = registry_of("1", "2", champion="1")
    pool, pins, scorer = pool_of(registry), MemoryPins(), RecordingScorer()
    pool.refresh()
    worker = Worker(scorer, pool, pins, METER)  # type: ignore[arg-type]
    run_task(worker, 1, spark_rows(0, 2), spark_rows(2, 2))
    registry.champion = "2"
    pool.refresh()
    run_task(worker, 1, spark_rows(0, 2))
    run_task(worker, 2, spark_rows(4, 2))
    assert scorer.calls == [("1", 0), ("1", 0), ("1", 0), ("2", 4)]


def test_a_task_of_two_partitions_knows_where_each_may_be_replayed_from() -> None:
    """A partition's first offset in the task stays its committed one, whatever comes between."""
    pool, scorer = pool_of(registry_of("1", champion="1")), RecordingScorer()
    parts = (spark_rows(4, 2, 0), spark_rows(6, 1, 0), spark_rows(9, 2, 2))
    run_task(Worker(scorer, pool, MemoryPins(), METER), 1, *parts)  # type: ignore[arg-type]
    assert scorer.committed == [{0: 4}, {0: 4}, {0: 4, 2: 9}]


def test_a_worker_that_has_not_seen_the_pinned_version_loads_it() -> None:
    """A pin by another task counts even where this process is behind."""
    registry = registry_of("1", "2", champion="1")
    pool, pins, scorer = pool_of(registry), MemoryPins(), RecordingScorer()
    pool.refresh()
    pins.pin("q", 1, "2")
    run_task(Worker(scorer, pool, pins, METER), 1, spark_rows(0, 1))  # type: ignore[arg-type]
    assert scorer.calls == [("2", 0)]


def test_a_batch_pinned_to_no_model_stays_with_the_rules_when_replayed() -> None:
    """A champion that appears later does not change a batch already decided by rules."""
    registry = registry_of("1", champion="1")
    pool, pins, scorer = pool_of(registry), MemoryPins(), RecordingScorer()
    pins.pin("q", 1, NO_MODEL)
    pool.refresh()
    run_task(Worker(scorer, pool, pins, METER), 1, spark_rows(0, 1))  # type: ignore[arg-type]
    assert scorer.calls == [(None, 0)]


def test_without_a_pin_the_rules_decide() -> None:
    """No store: no version can be agreed on, so no model decides."""
    registry = registry_of("1", champion="1")
    pool, scorer = pool_of(registry), RecordingScorer()
    pool.refresh()
    run_task(Worker(scorer, pool, BrokenPins(), METER), 1, spark_rows(0, 1))  # type: ignore[arg-type]
    assert scorer.calls == [(None, 0)]
