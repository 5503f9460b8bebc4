"""From the champion alias's move to the first decision by the new version, under load.

The Spark job decides 2,000 transactions per second while the alias moves: one promotion, one
rollback, then ten moves within a minute. Real broker, Redis and MLflow, all on this machine.

    python benchmarks/hot_swap.py

Last line: {"promotion_seconds", "rollback_seconds", "ten_swaps_seconds", "max_seconds", "lost",
"decided_twice", "mixed_batches", …}. `decided_twice` counts sources with two different decisions.
A micro-batch is one query's batch id: `alive` says that one query ran from the beginning to the
end. Records that the rules decided (`by_rules`) have no model version.
"""

import argparse
import multiprocessing
import os
import time
from dataclasses import dataclass, field

import orjson
from confluent_kafka import TopicPartition
from stream_rig import (
    EARLIEST,
    Rig,
    answers,
    await_true,
    finish,
    process_is_alive,
    promote,
    publish,
    register_model,
    running_rig,
    say,
    stream,
)

from contracts.kafka import full_ranges, make_reader
from inference.decisions import FirstDecisions

RATE = 2_000
SWAPS, APART_SECONDS = 10, 6.0


@dataclass
class Watch:
    """Follows the score topic: when each version last began, and which versions a batch has."""

    rig: Rig
    seen: FirstDecisions = field(default_factory=FirstDecisions)
    batches: dict[bytes, set[str]] = field(default_factory=dict)
    last_append_ms: dict[str, list[int]] = field(default_factory=dict)
    by_rules: int = 0

    def __post_init__(self) -> None:
        kafka = self.rig.settings.kafka
        self._consumer = make_reader(kafka, **{"enable.partition.eof": False})
        spans = full_ranges(kafka, kafka.scores_topic)
        self._consumer.assign([TopicPartition(s.topic, s.partition, 0) for s in spans])

    def poll(self) -> None:
        """Take in what has arrived."""
        for message in self._consumer.consume(5_000, timeout=0.05):
            value = message.value()
            decision = orjson.loads(value)
            self.seen.add(value)
            if decision["tier"] != "model":
                self.by_rules += 1
                continue
            version = decision["model_version"]
            batch = dict(message.headers())["batch_id"]
            self.batches.setdefault(batch, set()).add(version)
            self.last_append_ms.setdefault(version, []).append(message.timestamp()[1])

    def first_after(self, version: str, moved_ms: float, deadline_seconds: float = 60) -> float:
        """Seconds from `moved_ms` to the first decision by `version` after it."""
        deadline = time.monotonic() + deadline_seconds
        while time.monotonic() < deadline:
            self.poll()
            later = [at for at in self.last_append_ms.get(version, ()) if at >= moved_ms]
            if later:
                return (min(later) - moved_ms) / 1000
        raise TimeoutError(f"version {version} never decided")


def swap(rig: Rig, watch: Watch, version: str) -> float:
    """Move the alias; seconds to the first decision by the version."""
    watch.last_append_ms.clear()
    moved_ms = time.time() * 1000
    promote(rig, version)
    seconds = watch.first_after(version, moved_ms)
    say(f"version {version} decides after {seconds:.2f} s")
    return round(seconds, 3)


def measure(rig: Rig) -> dict[str, object]:
    """Promotion, rollback, ten swaps; then the count of everything."""
    versions = [register_model(rig, seed=seed) for seed in (1, 2)]
    promote(rig, versions[0])
    rig = rig.fresh_topics()
    publish(rig, 1_000)
    count = int(RATE * (40 + SWAPS * APART_SECONDS))
    with stream(rig, "run", "--starting", EARLIEST, "--metrics-port", "0") as pid:
        await_true(lambda: answers(rig.settings) >= 1_000, "the first decisions", 600)
        load = multiprocessing.get_context("spawn").Process(
            target=publish, args=(rig, count), kwargs={"first": 1_000, "rate": RATE}
        )
        load.start()
        watch = Watch(rig)
        watch.first_after(versions[0], time.time() * 1000)
        figures: dict[str, object] = {"promotion_seconds": swap(rig, watch, versions[1])}
        figures["rollback_seconds"] = swap(rig, watch, versions[0])
        figures["ten_swaps_seconds"] = ten_swaps(rig, watch, versions)
        load.join()
        await_true(lambda: answers(rig.settings) >= count + 1_000, "all decisions", 600)
        while len(watch.seen) + watch.seen.repeats < answers(rig.settings):
            watch.poll()
        figures["alive"] = process_is_alive(pid)
    return figures | {
        "events": count + 1_000,
        "lost": count + 1_000 - len(watch.seen),
        "decided_twice": watch.seen.differing,
        "mixed_batches": sum(len(found) > 1 for found in watch.batches.values()),
        "batches": len(watch.batches),
        "by_rules": watch.by_rules,
    }


def ten_swaps(rig: Rig, watch: Watch, versions: list[str]) -> list[float]:
    """Alternate the champion ten times in a minute."""
    found = []
    for number in range(SWAPS):
        due = time.monotonic() + APART_SECONDS
        found.append(swap(rig, watch, versions[(number + 1) % 2]))
        while time.monotonic() < due:
            watch.poll()
    return found


def main() -> None:
    """Measure and print one JSON object."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    with running_rig() as rig:
        figures = measure(rig)
    swaps = figures["ten_swaps_seconds"]
    every = [figures["promotion_seconds"], figures["rollback_seconds"], *swaps]  # type: ignore[misc]
    figures["max_seconds"] = max(every)  # type: ignore[type-var]
    finish(figures | {"rate": RATE, "cpus": os.cpu_count(), "load_average": os.getloadavg()[0]})


if __name__ == "__main__":
    main()
