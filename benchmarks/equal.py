"""The same transactions through Spark and through the direct consumer: are the decisions equal?

Everything real: a broker, Redis, MLflow, the tile service, one model version that both use, all
features, reasons on. Both read the same records from the beginning and write to topics of their
own; then both are read side by side, partition by partition, and compared byte by byte by the
decision's source coordinates. The first record of a source counts, as for every reader.

    python benchmarks/equal.py [--events 1000000]

Last line: {"events", "compared", "differing", "missing", "differing_fields": {}, …}; `missing` are
transactions that one of the two has not decided. Exit code 1 unless all are equal and there.
"""

import argparse
import itertools
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import orjson
from stream_rig import (
    EARLIEST,
    Rig,
    answers,
    await_true,
    finish,
    promote,
    publish,
    register_model,
    running_rig,
    say,
    stream,
)

from contracts.kafka import OffsetRange, full_ranges, read_range
from contracts.settings import KafkaSettings
from features.definition import FEATURE_SET

SHARED = frozenset({"topic", "labels_topic", "frontiers_topic"})
"""What both read; they write to topics of their own."""
DEADLINE_SECONDS = 7_200
Decisions = Iterator[Sequence[tuple[int, bytes]]]
"""Some at a time: a transaction's offset, and the decision as it was written."""


@dataclass
class Comparison:
    """What was found so far."""

    compared: int = 0
    differing: int = 0
    missing: int = 0
    fields: Counter[str] = field(default_factory=Counter)
    tiers: Counter[str] = field(default_factory=Counter)

    def compare(self, one: bytes, other: bytes) -> None:
        """Two decisions of one transaction."""
        self.compared += 1
        left = orjson.loads(one)
        self.tiers[left["tier"]] += 1
        if one != other:
            self.differing += 1
            self.fields.update(differing_fields(left, orjson.loads(other)) or ["order of bytes"])


def differing_fields(one: dict[str, object], other: dict[str, object]) -> list[str]:
    """Names of fields with other values; a feature by its own name."""
    names = [name for name in one.keys() | other.keys() if one.get(name) != other.get(name)]
    vectors = [tree.get("features") for tree in (one, other)]
    if "features" in names and all(isinstance(v, list) and v for v in vectors):
        names.remove("features")
        rows = zip(FEATURE_SET.names, *vectors, strict=True)  # type: ignore[arg-type]
        names += [f"features.{name}" for name, left, right in rows if left != right]
    return names


def compare_partition(
    sides: tuple[Decisions, Decisions], span: OffsetRange, found: Comparison
) -> None:
    """Compare the decisions on the transactions of one partition.

    A card's decisions stand on its transactions' partition, in about the same order on both sides,
    so little has to be held; what has been compared needs a byte.
    """
    waiting: tuple[dict[int, bytes], dict[int, bytes]] = ({}, {})
    is_done = np.zeros(span.end, dtype=np.bool_)
    for parts in itertools.zip_longest(*sides, fillvalue=()):
        for side, part in enumerate(parts):
            for offset, value in part:
                if is_done[offset] or offset in waiting[side]:
                    continue
                partner = waiting[1 - side].pop(offset, None)
                if partner is None:
                    waiting[side][offset] = value
                else:
                    is_done[offset] = True
                    found.compare(*((partner, value) if side else (value, partner)))
    found.missing += int((~is_done[span.start :]).sum())


def by_offset(kafka: KafkaSettings, partition: int) -> Decisions:
    """The decisions of a partition with their transactions' offsets, as they stand."""
    spans = full_ranges(kafka, kafka.scores_topic)
    for records in read_range(kafka, spans[partition]):
        values = [record.value or b"" for record in records]
        sources = [orjson.loads(value)["source"] for value in values]
        if any(source["partition"] != partition for source in sources):
            raise SystemExit(
                f"a decision stands on partition {partition}, its transaction does not"
            )
        yield [(source["offset"], v) for source, v in zip(sources, values, strict=True)]


def decide(rig: Rig, count: int, name: str, *options: str) -> float:
    """Have one of the two decide all; events per second with its start."""
    began = time.monotonic()
    with stream(rig, *options):
        await_true(lambda: answers(rig.settings) >= count, f"{name}'s decisions", DEADLINE_SECONDS)
    rate = count / (time.monotonic() - began)
    say(f"{name} has decided, {rate:,.0f} a second with its start")
    return rate


def measure(bare: Rig, count: int) -> dict[str, object]:
    """Publish, decide twice, compare."""
    rig = patient(bare).fresh_topics()
    version = register_model(rig, seed=1)
    promote(rig, version)
    say(f"publishing {count:,} transactions")
    publish(rig, count)
    decide(rig, count, "Spark", "run", "--starting", EARLIEST, "--metrics-port", "0")
    other = rig.fresh_topics(keep=SHARED)
    group = other.settings.kafka.scores_topic
    decide(other, count, "the direct consumer", "direct", "--group", group, "--starting", EARLIEST)
    found = Comparison()
    for span in full_ranges(rig.settings.kafka, rig.settings.kafka.topic):
        by_spark = by_offset(rig.settings.kafka, span.partition)
        compare_partition((by_spark, by_offset(other.settings.kafka, span.partition)), span, found)
        say(f"partition {span.partition}: {found.compared:,} compared, {found.differing} differ")
    return {
        "events": count,
        "compared": found.compared,
        "differing": found.differing,
        "missing": found.missing,
        "differing_fields": dict(found.fields.most_common()),
        "tiers": dict(found.tiers),
        "features": len(FEATURE_SET.names),
        "model_version": version,
    }


def patient(rig: Rig) -> Rig:
    """Nobody falls back to the rules because this machine is slow: that would differ by timing."""
    return rig.configured("tiles", wait_seconds=600.0)


def main() -> None:
    """Measure and print; exit 1 on any difference."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    count = parser.parse_args().events
    with running_rig() as rig:
        figures = measure(rig, count)
    finish(figures)
    is_equal = figures["compared"] == count and not figures["differing"] and not figures["missing"]
    raise SystemExit(0 if is_equal else 1)


if __name__ == "__main__":
    main()
