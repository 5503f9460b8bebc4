"""The Spark job on a real Kafka and Redis: exactly-once effect, hot swap, equality of paths."""

import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from confluent_kafka import TopicPartition
from inference_rig import (
    Feed,
    answer_count,
    await_true,
    folding,
    make_home,
    promote,
    register_model,
    rejected_sources,
)
from spark_cluster import spark_cluster
from stream_process import EARLIEST, kill_group, stream

from contracts.kafka import full_ranges, make_reader, read_range
from contracts.settings import Settings, load_settings
from inference.decisions import FirstDecisions, read_decisions
from inference.direct import DirectOptions, run_direct
from inference.notes import Life

pytestmark = [pytest.mark.integration, pytest.mark.chaos, pytest.mark.timeout(1800)]


@pytest.fixture
def home(tmp_path: Path, kafka_settings: Settings, redis_url: str) -> Path:
    """A checkout's home on servers of this session, without a champion."""
    return make_home(tmp_path / "home", kafka_settings, redis_url)


@pytest.fixture
def settings(home: Path) -> Iterator[Settings]:
    """The settings of that home, in which tiles across cards are folded."""
    settings = load_settings(home, environ={})
    with folding(settings):
        yield settings


def expected_sources(settings: Settings) -> set[tuple[int, int]]:
    """Partition and offset of every transaction record."""
    return {
        (span.partition, offset)
        for span in full_ranges(settings.kafka, settings.kafka.topic)
        for offset in range(span.start, span.end)
    }


def test_kill_9_in_mid_stream_loses_nothing_and_repeats_nothing_different(
    home: Path, settings: Settings
) -> None:
    """After two kills every record has one answer, and what was written twice is the same."""
    promote(settings, register_model(settings, home / "bundle", seed=1))
    feed = Feed(settings)
    feed.send(20_000)
    run = ("run", "--starting", EARLIEST, "--trigger", "0")
    for _ in range(2):
        before = answer_count(settings)
        with stream(home, *run) as process:
            await_true(lambda n=before: answer_count(settings) > n, "progress")
            kill_group(process)
        feed.send(5_000)
    with stream(home, *run) as process:
        await_true(lambda: _is_complete(settings), "an answer to every record")
        process.terminate()
        assert process.wait(60) == 0
    seen = FirstDecisions()
    decisions = [decision for decision, _ in read_decisions(settings.kafka, seen)]
    decided = {(d["source"]["partition"], d["source"]["offset"]) for d in decisions}
    rejected = set(rejected_sources(settings))
    assert decided | rejected == expected_sources(settings)
    assert not decided & rejected
    assert seen.differing == 0
    assert Counter(d["tier"] for d in decisions) == {"model": len(decisions)}


def _is_complete(settings: Settings) -> bool:
    if answer_count(settings) < len(expected_sources(settings)):
        return False
    seen = FirstDecisions()
    decided = sum(1 for _ in read_decisions(settings.kafka, seen))
    return decided + len(set(rejected_sources(settings))) == len(expected_sources(settings))


def test_a_champion_takes_over_without_a_restart_and_never_within_a_batch(
    home: Path, settings: Settings
) -> None:
    """Rules first, then version 1, then version 2; each micro-batch has one version."""
    first = register_model(settings, home / "one", seed=1)
    second = register_model(settings, home / "two", seed=2)
    feed = Feed(settings)
    feed.send(500)
    with stream(home, "run", "--starting", EARLIEST, "--trigger", "0"):
        await_true(lambda: answer_count(settings) >= feed.sent, "the first decisions")
        for version in (first, second):
            promote(settings, version)
            await_true(lambda v=version: _decides(settings, feed, v), f"a decision by {version}")
    versions = _versions_by_batch(settings)
    assert {v for found in versions.values() for v in found} == {"rules-1", first, second}
    assert all(len(found) == 1 for found in versions.values())


def _decides(settings: Settings, feed: Feed, version: str) -> bool:
    feed.send(50)
    return any(
        decision["model_version"] == version
        for decision, _ in read_decisions(settings.kafka, FirstDecisions())
    )


def _versions_by_batch(settings: Settings) -> dict[bytes, set[str]]:
    import orjson

    consumer = make_reader(settings.kafka, **{"enable.partition.eof": False})
    spans = full_ranges(settings.kafka, settings.kafka.scores_topic)
    consumer.assign([TopicPartition(s.topic, s.partition, s.start) for s in spans])
    left = sum(span.end - span.start for span in spans)
    versions: dict[bytes, set[str]] = {}
    while left > 0:
        for message in consumer.consume(1_000, timeout=1.0):
            batch = dict(message.headers())["batch_id"]
            body = orjson.loads(message.value())
            versions.setdefault(batch, set()).add(body["model_version"])
            left -= 1
    consumer.close()
    return versions


def test_spark_and_the_direct_consumer_decide_alike(
    home: Path, settings: Settings, kafka_settings: Settings
) -> None:
    """The same records through both paths with one version: equal records, byte for byte."""
    promote(settings, register_model(settings, home / "bundle", seed=3))
    feed = Feed(settings)
    feed.send(12_000)
    with stream(home, "run", "--starting", EARLIEST):
        await_true(lambda: answer_count(settings) >= feed.sent, "Spark's decisions")
    by_spark = _bodies(settings)
    _direct(settings, feed.sent)
    by_both = _bodies(settings)
    assert len(by_spark) == len(by_both) > 10_000
    assert all(len(found) == 1 for found in by_both.values())


def test_the_job_runs_on_a_standalone_master_with_two_workers(
    home: Path, settings: Settings, tmp_path: Path
) -> None:
    """Executors on both workers take part, and every record has one answer by the champion."""
    promote(settings, register_model(settings, home / "bundle", seed=4))
    feed = Feed(settings)
    feed.send(6_000)
    with (
        spark_cluster(tmp_path / "cluster", workers=2) as cluster,
        stream(home, "run", "--starting", EARLIEST, "--master", cluster.url),
    ):
        await_true(lambda: _is_complete(settings), "an answer to every record")
        (application,) = cluster.state()["activeapps"]
        assert application["cores"] == 2
        busy = _tasks_by_executor(settings.spark.ui_port, application["id"])
    assert len(busy) == 2
    assert all(tasks > 0 for tasks in busy.values())
    decisions = [decision for decision, _ in read_decisions(settings.kafka, FirstDecisions())]
    assert {decision["tier"] for decision in decisions} == {"model"}


def _tasks_by_executor(ui_port: int, application: str) -> dict[str, int]:
    url = f"http://127.0.0.1:{ui_port}/api/v1/applications/{application}/executors"
    with urllib.request.urlopen(url, timeout=10) as answer:
        rows = orjson.loads(answer.read())
    return {row["id"]: row["totalTasks"] for row in rows if row["id"] != "driver"}


def _direct(settings: Settings, count: int) -> None:
    stop = threading.Event()
    before = answer_count(settings)
    options = DirectOptions("test-direct", EARLIEST)
    runner = threading.Thread(target=run_direct, args=(settings, options, stop, Life()))
    runner.start()
    try:
        await_true(lambda: answer_count(settings) >= before + count, "direct decisions")
    finally:
        stop.set()
        runner.join(60)


def _bodies(settings: Settings) -> dict[tuple[int, int], set[bytes]]:
    bodies: dict[tuple[int, int], set[bytes]] = {}
    for span in full_ranges(settings.kafka, settings.kafka.scores_topic):
        for records in read_range(settings.kafka, span):
            for record in records:
                value = record.value or b""
                source = orjson.loads(value)["source"]
                bodies.setdefault((source["partition"], source["offset"]), set()).add(value)
    return bodies
