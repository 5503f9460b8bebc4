"""Reading decisions: the first record with a source's coordinates is the decision, ever after."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from contracts.kafka import OffsetRange, RawRecord, full_ranges, read_range
from contracts.settings import KafkaSettings

Source = tuple[str, int, int]


@dataclass(slots=True)
class FirstDecisions:
    """Insert-if-absent over score records fed in offset order; repeats are counted, not believed.

    A repeat that differs means that two writers disagreed: someone should be told.
    """

    repeats: int = 0
    differing: int = 0
    _digests: dict[Source, bytes] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._digests)

    def add(self, value: bytes) -> dict[str, Any] | None:
        """The decision if its source is new, None if the record is a repeat."""
        decision: dict[str, Any] = orjson.loads(value)
        source = source_of(decision)
        digest = hashlib.blake2b(value, digest_size=16).digest()
        first = self._digests.setdefault(source, digest)
        if first is digest:
            return decision
        self.repeats += 1
        self.differing += first != digest
        return None

    def sources(self) -> set[Source]:
        """Every source that has a decision."""
        return set(self._digests)


def source_of(answer: dict[str, Any]) -> Source:
    """Topic, partition and offset of the record that a decision or rejection answers."""
    source = answer["source"]
    return source["topic"], source["partition"], source["offset"]


def read_decisions(
    kafka: KafkaSettings, seen: FirstDecisions, ranges: list[OffsetRange] | None = None
) -> Iterator[tuple[dict[str, Any], RawRecord]]:
    """Decisions of the score topic (or of `ranges` in it), each source once, with its record.

    Raises:
        BrokerError: Kafka is out of reach.
    """
    for span in full_ranges(kafka, kafka.scores_topic) if ranges is None else ranges:
        for records in read_range(kafka, span):
            yield from _first(records, seen)


def _first(
    records: list[RawRecord], seen: FirstDecisions
) -> Iterator[tuple[dict[str, Any], RawRecord]]:
    for record in records:
        decision = seen.add(record.value or b"{}")
        if decision is not None:
            yield decision, record
