"""What a publisher promises about time: from here on no record will carry an earlier timestamp.

Readers that wait for "everything until then" need it for partitions on which nothing happens. A
publisher that stamps records with event times (a backfill, an import, a time-lapse) must promise;
where nobody ever did, the topic is taken to be live, and an idle partition's time is the wall's.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import orjson

from contracts.kafka import OffsetRange, full_ranges, read_range
from contracts.settings import KafkaSettings

logger = logging.getLogger(__name__)

LIVE_MS = 3_600_000
"""A topic without promises is live when its newest record is at most so old."""
NEWEST_PROMISES = 10
"""So many of each partition are read: the newest one says all that those before it did."""


@dataclass(frozen=True, slots=True)
class Promise:
    """Records at `ends` or later, by topic and partition, carry `until_ms` or a later timestamp.

    Everything below `ends` was acknowledged before the promise was sent.
    """

    until_ms: int
    ends: Mapping[str, Mapping[int, int]]

    def to_json(self) -> bytes:
        """As it stands in the frontiers topic."""
        ends = {t: {str(p): end for p, end in known.items()} for t, known in self.ends.items()}
        return orjson.dumps({"until_ms": self.until_ms, "ends": ends})

    @classmethod
    def from_json(cls, body: bytes) -> "Promise":
        """The inverse of `to_json`; any of Python's errors about values for other bytes."""
        tree = orjson.loads(body)
        ends = {t: _ends(known) for t, known in tree["ends"].items()}
        return cls(int(tree["until_ms"]), ends)


def _ends(known: Mapping[str, int]) -> dict[int, int]:
    return {int(partition): int(end) for partition, end in known.items()}


def readable_promise(body: bytes | None) -> Promise | None:
    """The promise in a record of the frontiers topic; None, and a warning, where there is none."""
    if body is None:
        return None
    try:
        promise = Promise.from_json(body)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        logger.warning("a record of the frontiers topic is no promise: %r: %.120r", error, body)
        return None
    return promise


def newest_promises(kafka: KafkaSettings) -> Iterator[Promise]:
    """What was promised last, from each partition of the frontiers topic.

    Raises:
        BrokerError: Kafka is out of reach.
    """
    for span in full_ranges(kafka, kafka.frontiers_topic):
        start = max(span.start, span.end - NEWEST_PROMISES)
        last = OffsetRange(span.topic, span.partition, start, span.end)
        for records in read_range(kafka, last):
            yield from filter(None, (readable_promise(record.value) for record in records))


def alive_key(topic: str) -> str:
    """The Redis key that `fraud tiles` keeps from expiring while it runs."""
    return f"fraud:tiles:{topic}:alive"
