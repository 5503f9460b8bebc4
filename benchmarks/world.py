"""How fast the synthetic world is made and published, how hard it is, and what a thief learns.

Starts a Kafka of its own in a scratch folder; nothing of yours is touched.

    python benchmarks/world.py

Last line: {"transactions_per_second_per_core", "published_per_second", "fraud_rate",
"max_raw_field_ap", "reference_ap_no_history", "reference_ap_with_history", "campaign_recall", …};
generation is per second of processor time, publishing per second of wall clock. Beside it stands
what the same client does with records that are ready.
"""

import argparse
import json
import multiprocessing
import random
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic
from world_raid import Arena, Stubborn, frozen_champion, raid, recall

from contracts.settings import KafkaSettings, load_settings
from features.definition import FEATURE_SET
from features.engine import replay
from producer.hacker_report import HackerReport
from producer.hardness import measure
from producer.hardness_sample import world_sample
from producer.pace import AtOnce
from producer.publisher import BULK_LINGER_MS, open_publisher
from producer.records import Writer
from producer.run import Run, Status
from producer.spec import WorldSpec
from producer.world import World
from stack.jars import fetch_jars
from stack.kafka_server import kafka as kafka_service
from stack.layout import HOST, Layout
from stack.service import Context

CHECKOUT = Path(__file__).resolve().parent.parent
SPEC = WorldSpec(seed=42, start_day=20_600, cards=3_000, merchants=1_200, fraud_rate=0.005)
DAYS = 120
YEAR = WorldSpec(seed=42, start_day=20_300, cards=10_000, merchants=3_000, fraud_rate=0.005)
RAID_CARDS_PER_DAY = 40.0
CAMPAIGNS = 9
CEILING_TOPIC, CEILING_BATCH, CEILING_BATCHES = "ceiling", 5_000, 60


def say(text: str) -> None:
    """Progress, on stderr: the last line of stdout is the result."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


class Teller:
    """Tells a run's progress every few seconds."""

    def __init__(self) -> None:
        self._next = time.monotonic()

    def update(self, status: Status) -> None:
        """See `producer.run.View`."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + 3
            say(f"{status.transactions:,} published, world day {status.done_days:.0f}")


def generated_per_cpu_second(spec: WorldSpec, days: int) -> float:
    """Transactions in columns, cards and labels included, per second of processor time."""
    world = World(spec)
    began = time.process_time()
    made = sum(len(world.day(number)) for number in range(days))
    return made / (time.process_time() - began)


def make_a_year(result: "multiprocessing.Queue[dict[str, float]]") -> None:
    """Generate 10,000 cards for a year in a process of its own, whose memory is then its own."""
    began, world, made = time.monotonic(), World(YEAR), 0
    for number in range(365):
        made += len(world.day(number))
        if number % 60 == 0:
            say(f"a year of 10,000 cards: day {number}")
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds = time.monotonic() - began
    result.put({"year_seconds": seconds, "year_peak_mb": peak_mb, "year_transactions": made})


def in_own_process() -> dict[str, float]:
    """Run `make_a_year` apart."""
    context = multiprocessing.get_context("spawn")
    result: multiprocessing.Queue[dict[str, float]] = context.Queue()
    child = context.Process(target=make_a_year, args=(result,))
    child.start()
    figures = result.get(timeout=1200)
    child.join(30)
    return figures


@contextmanager
def scratch_kafka(kafka: KafkaSettings) -> Iterator[KafkaSettings]:
    """A broker with empty topics that ends with the block."""
    with tempfile.TemporaryDirectory(prefix="world-bench-") as folder:
        layout = _layout(Path(folder))
        service = kafka_service(Context(layout, load_settings(CHECKOUT, environ={}), {}))
        service.prepare(lambda: False)
        process = subprocess.Popen(
            service.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            found = kafka.model_copy(update={"broker": f"{HOST}:{layout.port('kafka')}"})
            _make_topics(found)
            yield found
        finally:
            process.kill()
            process.wait(30)


def _layout(root: Path) -> Layout:
    fetch_jars(Layout(CHECKOUT), say)
    (root / ".fraud").mkdir()
    (root / "logs").mkdir()
    (root / ".fraud" / "jars").symlink_to(CHECKOUT / ".fraud" / "jars")
    for offset in random.sample(range(20_000, 31_000), 50):
        layout = Layout(root, offset)
        if all(_is_free(layout.port(name)) for name in ("kafka", "kafka-controller")):
            return layout
    sys.exit("no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) != 0


def _make_topics(kafka: KafkaSettings, seconds: float = 120.0) -> None:
    """Create the topics as soon as the broker answers."""
    admin = AdminClient({"bootstrap.servers": kafka.broker, "log_level": 0})
    names = (
        *(kafka.topic, kafka.labels_topic, kafka.truth_topic, kafka.frontiers_topic),
        CEILING_TOPIC,
    )
    deadline = time.monotonic() + seconds
    while True:
        try:
            admin.list_topics(timeout=2)
            break
        except KafkaException:
            if time.monotonic() > deadline:
                raise
    options = {"retention.ms": "-1"}
    topics = [NewTopic(name, kafka.partitions, 1, config=options) for name in names]
    for future in admin.create_topics(topics).values():
        future.result(timeout=30)


def publishing(kafka: KafkaSettings) -> dict[str, float]:
    """A whole backfill, from generating to the last acknowledgement; per second of wall clock and
    of this process's processor time, which other work on the machine disturbs less."""
    publisher = open_publisher(kafka, linger_ms=BULK_LINGER_MS)
    run = Run(kafka, SPEC, publisher, Teller(), threading.Event())
    began, worked = time.monotonic(), time.process_time()
    made = run.publish(AtOnce(), total_days=DAYS).status.transactions
    return {
        "published_per_second": made / (time.monotonic() - began),
        "published_per_cpu_second": made / (time.process_time() - worked),
    }


def ceiling_per_second(kafka: KafkaSettings) -> float:
    """The same client sending one ready-made record over and over: nothing is generated."""
    world = World(SPEC)
    record = next(Writer(world, kafka).transactions(world.day(0)))
    ready = [record._replace(topic=CEILING_TOPIC)] * CEILING_BATCH
    publisher = open_publisher(kafka, linger_ms=BULK_LINGER_MS)
    began = time.monotonic()
    for _ in range(CEILING_BATCHES):
        publisher.send_all(ready)
    publisher.flush()
    return publisher.delivered / (time.monotonic() - began)


def hardness_and_raid(kafka: KafkaSettings) -> dict[str, Any]:
    """What the world hides, and what a week of the thief does to a frozen champion."""
    world = World(SPEC)
    say("making the world's transactions")
    sample = world_sample("card", world, DAYS, kafka)
    say("replaying features")
    features = replay(sample.events, labels=sample.labels).values
    say("training reference models")
    found = measure(sample, FEATURE_SET.names, features)
    say("a week of the thief against a frozen champion")
    champion = frozen_champion(sample, features)
    report = raid(Arena(world, kafka, sample, champion), DAYS - 14, RAID_CARDS_PER_DAY)
    for line in report.lines():
        say(line)
    say("the same week by a thief who does not learn")
    arena = Arena(world, kafka, sample, champion)
    stubborn = raid(arena, DAYS - 14, RAID_CARDS_PER_DAY, Stubborn())
    return {
        "fraud_rate": found.fraud_rate,
        "max_raw_field_ap": found.max_raw_field_ap,
        "reference_ap_no_history": found.reference_ap_no_history,
        "reference_ap_with_history": found.reference_ap_with_history,
        "campaign_recall": found.campaign_recall,
        "raw_field_ap": found.raw_field_ap,
        "labels": found.labels,
        "reference_ap_from_labels": found.reference_ap_from_labels,
        **_thiefs_progress(report),
        "hacker_recall_week": recall(report),
        "hacker_recall_week_without_learning": recall(stubborn),
    }


def _thiefs_progress(report: HackerReport) -> dict[str, object]:
    shares = [day.caught_share for day in report.days]
    return {
        "hacker_recall_first_day": shares[0],
        "hacker_recall_last_day": shares[-1],
        "hacker_recall_by_day": shares,
    }


def goals(found: dict[str, Any]) -> dict[str, bool]:
    """Which of the world's goals hold on this machine."""
    without, with_history = found["reference_ap_no_history"], found["reference_ap_with_history"]
    recalls = found["campaign_recall"].values()
    return {
        "200,000 generated per second and core": found["transactions_per_second_per_core"] >= 2e5,
        "50,000 published per second": found["published_per_second"] >= 5e4,
        "a year of 10,000 cards in 5 minutes": found["year_seconds"] <= 300,
        "a year of 10,000 cards in 6 GB": found["year_peak_mb"] <= 6_000,
        "fraud rate of 0.2 to 1 %": 0.002 <= found["fraud_rate"] <= 0.01,
        "no raw field above 0.10": found["max_raw_field_ap"] <= 0.10,
        "history doubles AP": with_history >= 2 * without,
        "reference AP of 0.2 to 0.7": 0.2 <= with_history <= 0.7,
        "every campaign partly detectable": len(recalls) == CAMPAIGNS and min(recalls) > 0,
        "the thief lowers recall": found["hacker_recall_last_day"]
        < found["hacker_recall_first_day"],
    }


def main() -> None:
    """Measure everything and print one JSON object."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    kafka = load_settings(CHECKOUT, environ={}).kafka
    say("generating")
    figures: dict[str, Any] = {
        "transactions_per_second_per_core": generated_per_cpu_second(SPEC, DAYS)
    }
    figures |= in_own_process()
    say("starting a broker")
    with scratch_kafka(kafka) as broker:
        figures |= publishing(broker)
        say("the same client with nothing to generate")
        figures["ready_records_per_second"] = ceiling_per_second(broker)
    figures |= hardness_and_raid(kafka)
    figures["goals"] = goals(figures)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
