"""The training DAG's work on 300,000 transactions with 10 arms: time and memory, without servers.

    python benchmarks/training.py

Runs what the DAG's tasks run, in their order, each arm in a process of its own and two at a time as
in Airflow: snapshot, training table, arms, selection and registration, gate. Kafka is a list, the
object store a folder and MLflow a SQLite file. Making the world is not timed.
"""

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imbalance_world import world_topics
from memory_watch import MemoryWatch

from contracts.errors import DataError
from contracts.kafka import OffsetRange, RawRecord
from contracts.settings import Settings, load_settings
from models import steps
from models.arms import ALL_ARMS
from models.refusals import Refused
from models.snapshot import take_snapshot
from models.tracking import tracking_client

TRANSACTIONS = 300_000
MATURITY_DAYS = 10
SIDE_BY_SIDE = 2
GOAL_SECONDS, GOAL_GB = 480, 6.0


def say(text: str) -> None:
    """A line of progress on standard error; standard output is for the figures."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class ListLog:
    """Records by topic in one partition, in Kafka's place."""

    topics: dict[str, list[RawRecord]]

    def ranges(self, topic: str) -> list[OffsetRange]:
        """Everything."""
        return [OffsetRange(topic, 0, 0, len(self.topics.get(topic, [])))]

    def read(self, span: OffsetRange) -> Iterable[list[RawRecord]]:
        """Batches of 20,000, as from Kafka."""
        records = self.topics.get(span.topic, [])
        for start in range(span.start, span.end, 20_000):
            yield records[start : min(start + 20_000, span.end)]

    def refuse(self, topic: str, refused: Sequence[Refused]) -> int:
        """The world writes nothing that cannot be read.

        Raises:
            DataError: it did.
        """
        if refused:
            raise DataError("the world wrote records that cannot be read", value=topic)
        return 0


@dataclass(slots=True)
class Stages:
    """Seconds by stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Time what happens inside."""
        began = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - began, 1)
        say(f"{name}: {self.seconds[name]} s")


def make_log(settings: Settings) -> ListLog:
    """The world's first 300,000 transactions and the labels that were known by then."""
    by_topic = world_topics(settings, settings.world.backfill_days)
    transactions = by_topic[settings.kafka.topic][:TRANSACTIONS]
    now_us = transactions[-1].timestamp_us
    topics: dict[str, list[RawRecord]] = {}
    for topic, records in by_topic.items():
        kept = [record for record in records if record.timestamp_us <= now_us]
        kept = transactions if topic == settings.kafka.topic else kept
        topics[topic] = [
            RawRecord(0, offset, record.timestamp_us // 1000, record.key, record.value)
            for offset, record in enumerate(kept)
        ]
    return ListLog(topics)


def local_settings(folder: Path) -> Settings:
    """The checkout's defaults on a folder and a SQLite file."""
    settings = load_settings(Path(__file__).resolve().parent.parent, environ={})
    changed = {
        "learning": settings.learning.model_copy(update={"maturity_days": MATURITY_DAYS}),
        "object_store": settings.object_store.model_copy(
            update={"host": (folder / "objects").as_uri()}
        ),
        "mlflow": settings.mlflow.model_copy(
            update={"tracking_uri": f"sqlite:///{folder}/mlflow.db"}
        ),
    }
    return settings.model_copy(update=changed)


def train(settings: Settings, log: ListLog, stages: Stages) -> dict[str, Any]:
    """All steps; the arms' figures and the gate's verdict."""
    with stages.timed("snapshot"):
        manifest = take_snapshot(settings, reference="benchmark", log=log)
    with stages.timed("training_table"):
        table_uri = steps.build_training_table(settings, manifest.uri)
    parent = steps.start_training_run(settings, table_uri, "benchmark")
    with stages.timed("arms"):
        results = run_arms(settings, table_uri, parent)
    with stages.timed("select_and_register"):
        runs = [result["run_id"] for result in results]
        version = steps.select_and_register(settings, table_uri, runs, parent)
    with stages.timed("gate"):
        verdict = steps.run_gate(settings, table_uri, version)
    figures = {result["arm"]: result["metrics"]["select_ap"] for result in results}
    return {"select_ap": figures, "gate": verdict["outcome"]}


def run_arms(settings: Settings, table_uri: str, parent: str) -> list[steps.ArmResult]:
    """Every arm in a fresh process, two at a time."""
    plan = steps.plan_arms(settings, ALL_ARMS)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(SIDE_BY_SIDE, mp_context=context, max_tasks_per_child=1) as pool:
        waiting = [pool.submit(run_arm, settings, table_uri, arm, parent) for arm in plan]
        return [future.result() for future in waiting]


def run_arm(
    settings: Settings, table_uri: str, arm: dict[str, Any], parent: str
) -> steps.ArmResult:
    """One arm, with a line about its time."""
    began = time.perf_counter()
    result = steps.train_arm(settings, table_uri, arm, parent)
    say(f"{arm['name']}: {time.perf_counter() - began:.1f} s")
    return result


def main() -> None:
    """Make the world, train on it; the last line is one JSON object."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    with tempfile.TemporaryDirectory(prefix="fraud-training-") as scratch:
        folder = Path(scratch)
        settings = local_settings(folder)
        say("making the world")
        log = make_log(settings)
        client = tracking_client(settings.mlflow)
        client.create_experiment(settings.mlflow.experiment, (folder / "artifacts").as_uri())
        stages = Stages()
        began = time.perf_counter()
        with MemoryWatch() as memory:
            found = train(settings, log, stages)
        seconds = round(time.perf_counter() - began, 1)
    peak = round(memory.peak_bytes / 1e9, 2)
    goals = {"seconds": GOAL_SECONDS, "peak_gb": GOAL_GB}
    sizes = {"transactions": len(log.topics[settings.kafka.topic]), "arms": len(ALL_ARMS)}
    print(
        json.dumps(
            sizes
            | {"seconds": seconds, "peak_gb": peak, "goals": goals}
            | {"stages": stages.seconds}
            | found
        )
    )


if __name__ == "__main__":
    main()
