"""Throughput and latency of Spark and of the direct consumer, with full features and reasons.

Everything real: a broker, Redis, MLflow with a 200-tree model of depth 6, all on this machine, with
the load generator. Ceilings are measured in the same run: Spark's own pass-through (mapInArrow that
hands rows on) and a consume-produce loop without scoring.

    python benchmarks/stream.py

Last line: {"spark_catchup_eps", "spark_ratio_to_passthrough", "spark_latency_ms": {rate: {p50, …}},
"direct_eps", "direct_latency_ms", …}. Events per second come from the score topic's LogAppendTime;
a latency is that time less the moment of sending, in milliseconds.
"""

import argparse
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pyarrow as pa
from confluent_kafka import TopicPartition
from stream_rig import (
    EARLIEST,
    Rig,
    answers,
    await_true,
    finish,
    process,
    promote,
    publish,
    register_model,
    running_rig,
    say,
    stream,
)

from contracts.kafka import full_ranges, make_reader
from contracts.settings import Settings, load_settings
from inference.arrow_frames import ANSWER_DDL, ANSWER_SCHEMA

SPARK_RATES, DIRECT_RATES = (1_000, 5_000), (1_000, 4_000, 10_000)
WARM_RECORDS, WARM_SECONDS = 2_000, 10.0
"""Before a steady rate: records in one go, then seconds at the rate that are not counted."""


def score_times(settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """LogAppendTime and send time of every score, ms; in order of appending."""
    consumer = make_reader(settings.kafka, **{"enable.partition.eof": False})
    spans = full_ranges(settings.kafka, settings.kafka.scores_topic)
    consumer.assign([TopicPartition(s.topic, s.partition, s.start) for s in spans])
    left = sum(span.end - span.start for span in spans)
    appended, sent = np.empty(left), np.empty(left)
    while left > 0:
        for message in consumer.consume(10_000, timeout=1.0):
            left -= 1
            appended[left] = message.timestamp()[1]
            sent[left] = int(dict(message.headers())["sent_us"]) / 1000
    consumer.close()
    order = np.argsort(appended, kind="stable")
    return appended[order], sent[order]


def throughput(settings: Settings) -> float:
    """Events per second between the first tenth and the last score."""
    appended, _ = score_times(settings)
    begin = len(appended) // 10
    seconds = (appended[-1] - appended[begin]) / 1000
    return float((len(appended) - begin) / max(seconds, 1e-9))


def percentiles(settings: Settings) -> dict[str, float]:
    """p50, p95 and p99 in ms of what was sent after the warm-up."""
    appended, sent = score_times(settings)
    steady = sent >= np.sort(sent)[WARM_RECORDS] + WARM_SECONDS * 1000
    figures = np.percentile((appended - sent)[steady], [50, 95, 99])
    return dict(zip(("p50", "p95", "p99"), np.round(figures, 1).tolist(), strict=True))


Start = Callable[[Rig], AbstractContextManager[int]]


def catch_up(rig: Rig, count: int, start: Start) -> float:
    """Events per second through a backlog of `count`."""
    rig = rig.fresh_topics()
    publish(rig, count)
    with start(rig):
        await_true(lambda: answers(rig.settings) >= count, "the backlog", 1_200)
    return throughput(rig.settings)


def latency(rig: Rig, rate: int, seconds: float, start: Start) -> dict[str, float]:
    """Percentiles at a steady rate, by a producer in a process of its own."""
    rig = rig.fresh_topics()
    first = WARM_RECORDS
    publish(rig, first)
    with start(rig):
        await_true(lambda: answers(rig.settings) >= first, "the first decisions", 600)
        count = int(rate * (seconds + WARM_SECONDS))
        load = multiprocessing.get_context("spawn").Process(
            target=publish, args=(rig, count), kwargs={"first": first, "rate": rate}
        )
        load.start()
        load.join()
        await_true(lambda: answers(rig.settings) >= first + count, "all decisions", 600)
    return percentiles(rig.settings)


def spark(rig: Rig) -> AbstractContextManager[int]:
    """The Spark job, a batch as soon as the last one ended."""
    options = ("--starting", EARLIEST, "--trigger", "0", "--metrics-port", "0")
    return stream(rig, "run", *options)


def direct(rig: Rig) -> AbstractContextManager[int]:
    """The direct consumer."""
    return stream(rig, "direct", "--group", rig.settings.kafka.topic, "--starting", EARLIEST)


def role(name: str) -> Start:
    """This script in another process, without scoring."""

    def start(rig: Rig) -> AbstractContextManager[int]:
        command = (sys.executable, __file__, "--role", name, "--home", str(rig.home))
        return process(command, rig.home / "logs" / f"{name}.log")

    return start


def spark_pass_through(home: Path) -> None:
    """Spark's own ceiling: the same source, sink and Arrow batches, nothing in between."""
    from inference.spark_job import StreamOptions, read_source, write_answers
    from inference.spark_session import connector_jars, open_session

    settings = load_settings(home, environ={})
    topic = settings.kafka.scores_topic

    def hand_on(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for rows in batches:
            topics = pa.array([topic] * rows.num_rows, pa.string())
            columns = [rows.column(name) for name in ("key", "value", "headers")]
            columns = [
                c.cast(f.type) for c, f in zip(columns, list(ANSWER_SCHEMA)[1:], strict=True)
            ]
            yield pa.RecordBatch.from_arrays([topics, *columns], schema=ANSWER_SCHEMA)

    jars = connector_jars(home / ".fraud" / "jars" / "spark")
    checkpoint = home / f"pass-through-{settings.kafka.topic}"
    session = open_session(settings, settings.spark.master, jars, checkpoint)
    start = f'{{"{settings.kafka.topic}": {EARLIEST}}}'
    rows = read_source(session, settings, start).mapInArrow(hand_on, schema=ANSWER_DDL)
    options = StreamOptions(checkpoint, Path(), settings.spark.master, 0.0)
    write_answers(rows, settings, options).awaitTermination()


def direct_pass_through(home: Path) -> None:
    """The direct consumer's own ceiling: consume, produce, commit."""
    from inference.consumer import CommitReports, batch_of
    from inference.direct import open_client, open_sender
    from inference.outbox import Outbox
    from inference.records import Answers

    settings = load_settings(home, environ={})
    kafka = settings.kafka
    client, outbox = open_client(kafka, "pass-through", CommitReports()), Outbox(open_sender(kafka))
    parts = range(kafka.partitions)
    client.incremental_assign([TopicPartition(kafka.topic, p, 0) for p in parts])
    while True:
        first = client.poll(0.2)
        messages = [] if first is None else [first, *client.consume(5_000, 0.0)]
        batch, answered = batch_of(messages), Answers()
        answered.add(kafka.scores_topic, batch.keys, [v or b"" for v in batch.values], batch.sent)
        outbox.send(answered, 0)
        outbox.settle({})


def measure(rig: Rig, events: int, seconds: float, only: str) -> dict[str, object]:
    """All figures whose name begins with `only`, ceilings beside them."""
    promote(rig, register_model(rig, seed=1))
    figures: dict[str, object] = {}
    for name, start in (
        ("spark_passthrough_eps", role("spark-pass-through")),
        ("spark_catchup_eps", spark),
        ("direct_passthrough_eps", role("direct-pass-through")),
        ("direct_eps", direct),
    ):
        if not name.startswith(only):
            continue
        say(f"{name}: {events:,} events")
        figures[name] = round(catch_up(rig, events, start))
        say(f"{name}: {figures[name]:,} per second")
    if "spark_catchup_eps" in figures:
        parts = [float(str(figures[f"spark_{name}_eps"])) for name in ("catchup", "passthrough")]
        figures["spark_ratio_to_passthrough"] = round(parts[0] / parts[1], 3)
    for name, rates, start in (
        ("spark_latency_ms", SPARK_RATES, spark),
        ("direct_passthrough_latency_ms", DIRECT_RATES, role("direct-pass-through")),
        ("direct_latency_ms", DIRECT_RATES, direct),
    ):
        if not name.startswith(only):
            continue
        by_rate = {}
        for rate in rates:
            say(f"{name} at {rate:,} transactions per second for {seconds:.0f} s")
            by_rate[str(rate)] = latency(rig, rate, seconds, start)
            say(f"{name} at {rate:,}: {by_rate[str(rate)]}")
        figures[name] = by_rate
    return figures


def main() -> None:
    """Run everything, or one role in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=400_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--only", choices=("", "direct", "spark"), default="")
    parser.add_argument("--role", choices=("spark-pass-through", "direct-pass-through"))
    parser.add_argument("--home", type=Path)
    arguments = parser.parse_args()
    if arguments.role == "spark-pass-through":
        spark_pass_through(arguments.home)
    elif arguments.role == "direct-pass-through":
        direct_pass_through(arguments.home)
    else:
        with running_rig() as rig:
            figures = measure(rig, arguments.events, arguments.seconds, arguments.only)
        finish(figures | {"cpus": os.cpu_count(), "load_average": os.getloadavg()[0]})


if __name__ == "__main__":
    main()
