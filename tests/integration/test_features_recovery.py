"""Feature state on real Redis and real Kafka: refusals, kill -9, an emptied and an older store."""

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest
import redis
from inference_rig import folding, promise

from contracts.errors import StateError, StoreError
from contracts.kafka import full_ranges, make_producer
from contracts.settings import Settings
from features.engine import replay
from features.history import KafkaHistory
from features.store import (
    UNKNOWN,
    Manifest,
    MemoryStateStore,
    RedisStateStore,
    StateStore,
    Written,
)

pytestmark = pytest.mark.integration
HERE = Path(__file__).parent
CARDS, EVENTS = 7, 400


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest, redis_url: str) -> StateStore:
    """Every store must pass the same rules."""
    if request.param == "memory":
        return MemoryStateStore()
    return RedisStateStore(redis_url, f"test:{random.random()}")


def state(offset: int) -> bytes:
    """Something to write."""
    return offset.to_bytes(8, "big") + b"rest"


def test_a_store_returns_what_was_written(store: StateStore) -> None:
    """States, manifest and generation come back; unknown cards are None."""
    store.begin(3, "g1")
    store.write(3, Written("g1", {"a": state(5), "b": state(300)}))
    store.mark(3, Manifest("g1", 4, 6))
    stored = store.read(3, "g1", ["a", "new", "b"])
    assert stored.states == [state(5), None, state(300)]
    assert (stored.generation, stored.next_offset) == ("g1", 6)
    assert store.manifest(3) == Manifest("g1", 4, 6)
    assert store.manifest(4) is None


def test_a_write_goes_on_from_what_its_writer_read(store: StateStore) -> None:
    """A zombie that others overtook between its read and its write is refused, whole."""
    store.begin(0, "g")
    store.write(0, Written("g", {"a": state(1)}, 2))
    read = store.read(0, "g", ["a", "b"])
    store.write(0, Written("g", {"a": state(2)}, 3, before=read.served))
    for before in (read.served, UNKNOWN):
        with pytest.raises(StateError, match="others wrote"):
            store.write(0, Written("g", {"b": state(1), "a": state(1)}, 2, before))
    store.write(0, Written("g", {"b": state(3)}, 4, before=3))
    assert store.read(0, "g", ["a", "b"]).states == [state(2), state(3)]


def test_a_mark_names_what_was_written_last(store: StateStore) -> None:
    """A store that lost its last states, or has others, takes no manifest over them."""
    store.begin(0, "g")
    store.writing({0: Written("g", {"a": state(1)}, 2)})()
    store.mark_many({0: Manifest("g", 0, 2)}, {0: 2})
    assert store.read(0, "g", ["a"]).served == 2
    with pytest.raises(StateError, match="not those that this process wrote last"):
        store.mark_many({0: Manifest("g", 0, 7)}, {0: 7})
    assert store.manifest(0) == Manifest("g", 0, 2)
    store.begin(0, "new")
    assert store.read(0, "new", ["a"]).served == UNKNOWN


def test_one_round_trip_serves_several_partitions(store: StateStore) -> None:
    """Each partition's states, generation and manifest are its own."""
    for partition in (0, 1):
        store.begin(partition, f"g{partition}")
    store.writing({p: Written(f"g{p}", {"a": state(p)}, p + 1) for p in (0, 1)})()
    store.mark_many({p: Manifest(f"g{p}", 0, p + 1) for p in (0, 1)}, {})
    found = store.reading({p: (f"g{p}", ["a", "b"]) for p in (0, 1)})()
    assert [found[p].states for p in (0, 1)] == [[state(0), None], [state(1), None]]
    assert [found[p].next_offset for p in (0, 1)] == [1, 2]


def test_a_redis_that_forgot_the_scripts_is_told_them_again(redis_url: str) -> None:
    """As after its restart: the same call succeeds."""
    store = RedisStateStore(redis_url, f"test:{random.random()}")
    store.begin(0, "g")
    redis.Redis.from_url(redis_url).script_flush()
    store.write(0, Written("g", {"a": state(1)}, 2))
    assert store.read(0, "g", ["a"]).served == 2


def test_a_superseded_generation_is_refused(store: StateStore) -> None:
    """After another process began a rebuild, the old writer neither reads, writes nor marks."""
    store.begin(0, "old")
    store.write(0, Written("old", {"a": state(1)}))
    store.begin(0, "new")
    assert store.read(0, "old", ["a"]).generation == "new"
    assert store.read(0, "new", ["a"]).states == [None]
    assert store.manifest(0) is None
    with pytest.raises(StateError):
        store.write(0, Written("old", {"a": state(2)}))
    with pytest.raises(StateError):
        store.mark(0, Manifest("old", 0, 1))


def test_a_full_or_absent_redis_is_a_typed_error(redis_url: str) -> None:
    """Out of memory or out of reach: StoreError, and no half-written batch."""
    store = RedisStateStore(redis_url, "full")
    store.begin(0, "g")
    client = redis.Redis.from_url(redis_url)
    allowed = client.config_get("maxmemory")["maxmemory"]
    client.config_set("maxmemory", 1)
    try:
        with pytest.raises(StoreError):
            store.write(0, Written("g", {"a": state(1)}))
    finally:
        client.config_set("maxmemory", allowed)
    assert store.read(0, "g", ["a"]).states == [None]
    with pytest.raises(StoreError):
        RedisStateStore("redis://127.0.0.1:1/0", "nowhere").manifest(0)


@dataclass
class Topic:
    """Transactions of one partition in a real Kafka."""

    settings: Settings
    broker: str
    folder: Path
    redis_url: str

    def own_settings(self) -> Settings:
        """These topics on the Redis of this test session."""
        store = self.settings.redis.model_copy(update={"url": self.redis_url})
        return self.settings.model_copy(update={"redis": store})

    def worker(self, death: tuple[int, str] | None, batch: int) -> int:
        """Run a consumer process; its exit code."""
        arguments = {
            "broker": self.broker,
            "topic": self.settings.kafka.topic,
            "redis": self.redis_url,
            "partition": 0,
            "folder": str(self.folder),
            "batch": batch,
            "death": death,
        }
        command = [sys.executable, str(HERE / "features_worker.py"), json.dumps(arguments)]
        path = {"PYTHONPATH": str(HERE.parents[1] / "benchmarks")}
        return subprocess.run(command, env=path, check=False, timeout=300).returncode

    def assert_parity(self) -> None:
        """Every vector that any process ever served equals one replay of the topic."""
        spans = full_ranges(self.settings.kafka, self.settings.kafka.topic)
        tables = KafkaHistory(self.settings.kafka).read(0, 0, spans[0].end)
        truth = replay(next(iter(tables))).values
        lines = (self.folder / "served.jsonl").read_text().splitlines()
        served = [json.loads(line) for line in lines]
        assert {entry["offset"] for entry in served} == set(range(EVENTS))
        for entry in served:
            assert bytes.fromhex(entry["row"]) == truth[entry["offset"]].tobytes()


@pytest.fixture
def topic(
    kafka_settings: Settings, kafka_broker: str, redis_url: str, tmp_path: Path
) -> Iterator[Topic]:
    """A topic whose partition 0 holds EVENTS transactions: late, repeated and without place."""
    random.seed(4)
    producer = make_producer(kafka_settings.kafka)
    for offset in range(EVENTS):
        time_us = 1_767_225_600_000_000 + offset * 7_200_000_000
        body = {
            "schema_version": 1,
            "transaction_id": f"t{random.choice([offset, offset, offset, max(offset - 20, 0)])}",
            "event_time": time_us - random.choice([0, 0, 0, 3_600_000_000, 200_000_000_000]),
            "card_id": f"card-{random.randrange(CARDS)}",
            "merchant_id": f"m{random.randrange(5)}",
            "amount_minor": random.randrange(-500, 20_000),
            "country": random.choice(["DE", "FR", None]),
            "latitude": random.choice([52.5, None]),
            "longitude": 13.4,
        }
        producer.produce(
            kafka_settings.kafka.topic,
            orjson.dumps(body),
            key=body["card_id"],
            partition=0,
            timestamp=time_us // 1000,
        )
    assert producer.flush(30) == 0
    promise(kafka_settings.kafka, (time_us + 86_400_000_000) // 1000)
    topic = Topic(kafka_settings, kafka_broker, tmp_path, redis_url)
    with folding(topic.own_settings()):
        yield topic


def test_killed_between_any_two_writes_serves_the_same_bits(topic: Topic) -> None:
    """kill -9 before and after the store's writes, then a restart: all vectors are bit-equal."""
    for death in ((1, "after"), (2, "before"), (3, "after"), (4, "before")):
        assert topic.worker(death, batch=60) == -9
    assert topic.worker(None, batch=45) == 0
    topic.assert_parity()


def test_emptied_redis_and_an_older_checkpoint_serve_the_same_bits(topic: Topic) -> None:
    """State is rebuilt from Kafka when Redis forgot it, or is ahead of the checkpoint."""
    assert topic.worker((6, "after"), batch=60) == -9
    redis.Redis.from_url(topic.redis_url).flushall()
    assert topic.worker((5, "after"), batch=50) == -9
    (topic.folder / "committed").write_text("30")
    assert topic.worker(None, batch=80) == 0
    topic.assert_parity()
