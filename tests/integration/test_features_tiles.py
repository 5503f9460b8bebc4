"""Tiles on real Redis and real Kafka: kill -9 between any two writes, a wiped store, the port."""

import json
import os
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pytest
import redis
from confluent_kafka.admin import AdminClient, NewPartitions
from inference_rig import await_true, make_home, promise

from contracts.errors import StateError, StoreError
from contracts.frontiers import alive_key
from contracts.kafka import make_producer
from contracts.settings import KafkaSettings, Settings
from contracts.transaction_rows import events_of
from features.clocks import partition_clocks
from features.definition import FEATURE_SET
from features.encoding import encoded
from features.engine import replay
from features.kafka_tile_source import KafkaTileSource
from features.recompute import WholeTopics
from features.redis_tile_store import RedisTileStore
from features.serving import store_prefix
from features.tile_reader import TileReader
from features.tile_store import MemoryTileStore, TileManifest, TileStore

pytestmark = pytest.mark.integration
HERE = Path(__file__).parent
START_MS = 1_767_225_600_000
EVENTS = 4_000
STEP_MS = 600_000


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest, redis_url: str) -> TileStore:
    """Every store must pass the same rules."""
    if request.param == "memory":
        return MemoryTileStore()
    return RedisTileStore(redis_url, f"test:{random.random()}")


def test_a_store_returns_what_was_written(store: TileStore) -> None:
    """Tiles, manifest, names and notes come back; unknown entities are None."""
    manifest = TileManifest("g", 5, 6, (1, 2, 3, 4), {"events/0": (7, 8)})
    store.begin(TileManifest("g"))
    store.write("g", "merchant", {5: b"five", -6: b"minus six", 7: b"seven"})
    store.write("g", "merchant", {7: b""})
    store.mark(manifest)
    found, tiles = store.read("g", {"merchant": [-6, 1, 5, 7], "device": []})
    assert (found, tiles["merchant"]) == (manifest, [b"minus six", None, b"five", None])
    assert sorted(store.names("g", "merchant")) == [-6, 5]
    store.note("reader", 11, 12)
    assert store.readers() == {"reader": (11, 12)}


def test_a_superseded_writer_is_refused(store: TileStore) -> None:
    """After another began anew, the old writer neither writes nor marks, and its tiles are gone."""
    store.begin(TileManifest("old"))
    store.write("old", "device", {1: b"x"})
    store.begin(TileManifest("new"))
    with pytest.raises(StateError):
        store.write("old", "device", {1: b"y"})
    with pytest.raises(StateError):
        store.mark(TileManifest("old", 1))
    assert store.read("new", {"device": [1]})[1]["device"] == [None]


def test_an_absent_redis_is_a_typed_error() -> None:
    """Out of reach: StoreError."""
    with pytest.raises(StoreError):
        RedisTileStore("redis://127.0.0.1:1/0", "nowhere").manifest()


@dataclass
class Topics:
    """Transactions and labels on all partitions of a real Kafka, and where their tiles go."""

    kafka: KafkaSettings
    redis_url: str
    until: int

    def worker(self, death: tuple[int, str] | None) -> int:
        """Run the tile service in a process; its exit code."""
        names = {f: v for f, v in self.kafka.model_dump().items() if "topic" in f}
        arguments = {
            **{"broker": self.kafka.broker, "topics": names, "redis": self.redis_url},
            **{"death": death, "until": self.until},
        }
        paths = (str(HERE.parents[1] / "benchmarks"), str(HERE.parent / "unit"))
        command = [sys.executable, str(HERE / "tiles_worker.py"), json.dumps(arguments)]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join((*paths, os.environ.get("PYTHONPATH", "")))
        }
        return subprocess.run(command, env=environment, check=False, timeout=300).returncode

    def assert_parity(self) -> None:
        """What readers are served equals a replay of both topics, bit for bit."""
        topics = WholeTopics(self.kafka)
        events = pa.concat_tables(topics.transactions())
        labels = pa.concat_tables(topics.labels())
        own = len(FEATURE_SET.of_cards)
        truth = replay(events, labels=labels).values[:, own:]
        served = np.full((len(events), len(FEATURE_SET.names)), -1.0)
        tiles = RedisTileStore(self.redis_url, store_prefix(self.kafka.topic))
        TileReader(tiles, wait_seconds=0).fill(
            encoded(events_of(events)), partition_clocks(events), served
        )
        assert len(events) == EVENTS
        assert np.nanmax(truth[:, FEATURE_SET.names.index("merchant_frauds_30d") - own]) > 2
        assert np.array_equal(served[:, own:], truth, equal_nan=True)


@pytest.fixture
def topics(kafka_settings: Settings, redis_url: str) -> Topics:
    """A month of events at few merchants and devices, a tenth of them disputed and some cleared."""
    kafka, dice = kafka_settings.kafka, random.Random(7)
    producer = make_producer(kafka)
    for number in range(EVENTS):
        time_us = (START_MS + number * STEP_MS) * 1000
        body = {
            **{"schema_version": 1, "transaction_id": f"t{number}", "event_time": time_us},
            **{"card_id": f"card-{dice.randrange(300)}", "merchant_id": f"m{dice.randrange(9)}"},
            **{"amount_minor": dice.randrange(-500, 20_000)},
            **{"device_id": f"d{dice.randrange(50)}", "ip_prefix": f"10.0.{dice.randrange(9)}"},
        }
        producer.produce(
            kafka.topic, orjson.dumps(body), key=body["card_id"], timestamp=time_us // 1000
        )
        if number % 10 == 0:
            for days, is_fraud in ((1, True), (9, False))[: 1 + number % 3]:
                told_us = time_us + days * 86_400_000_000
                label = {k: body[k] for k in ("transaction_id", "card_id", "merchant_id")}
                label |= {"schema_version": 1, "event_time": time_us, "label_time": told_us}
                label |= {"is_fraud": is_fraud, "source": "chargeback"}
                name = label["transaction_id"]
                producer.produce(
                    kafka.labels_topic, orjson.dumps(label), key=name, timestamp=told_us // 1000
                )
        producer.poll(0)
    assert producer.flush(60) == 0
    until = START_MS + (EVENTS + 5_000) * STEP_MS
    promise(kafka, until)
    return Topics(kafka, redis_url, until)


def test_killed_between_any_two_writes_writes_the_same_tiles(topics: Topics) -> None:
    """kill -9 before and after writes of tiles and of the manifest, and a wipe: the same bits."""
    deaths = ((0, "after"), (1, "before"), (2, "after"), (3, "before"), (3, "after"))
    for death in deaths:  # three kinds of entity, then the manifest
        assert topics.worker(death) == -9
    assert topics.worker(None) == 0
    topics.assert_parity()
    redis.Redis.from_url(topics.redis_url).flushall()
    assert topics.worker(None) == 0
    topics.assert_parity()


def test_the_ends_come_with_what_is_read(topics: Topics) -> None:
    """Before anything was read none is known; after the last record all are, without asking."""
    source = KafkaTileSource(topics.kafka)
    places = dict.fromkeys(source.partitions(), 0)
    source.seek(places)
    assert source.known_ends() == {}
    while places != source.ends():
        places |= {arrived.partition: arrived.end for arrived in source.poll()}
    assert source.known_ends() == places
    source.close()


def test_tiles_end_when_labels_get_a_partition(
    kafka_settings: Settings, redis_url: str, tmp_path: Path
) -> None:
    """It would never be folded: the running service ends with the reason, and none starts."""
    kafka = kafka_settings.kafka
    environment = os.environ | {"FRAUD_HOME": str(make_home(tmp_path, kafka_settings, redis_url))}
    command = [str(Path(sys.executable).parent / "fraud"), "tiles", "--metrics-port", "0"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        client = redis.Redis.from_url(redis_url)
        await_true(lambda: bool(client.exists(alive_key(kafka.topic))), "a sign of life", 60)
        admin = AdminClient({"bootstrap.servers": kafka.broker})
        for future in admin.create_partitions([NewPartitions(kafka.labels_topic, 5)]).values():
            future.result(timeout=20)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 2
    assert "has 5 partitions, not 4" in said
    assert subprocess.run(command, env=environment, check=False, timeout=60).returncode == 2
