"""What this publisher promises about the timestamps to come; see `contracts.frontiers`."""

import time
from collections.abc import Callable
from typing import Any

from contracts.frontiers import Promise, newest_promises
from contracts.kafka import full_ranges
from contracts.settings import KafkaSettings
from producer.records import Record

PROMISE_SECONDS = 0.05
"""Between two promises of a publisher that goes on."""


class Promises:
    """Knows how far each partition is, and what was promised last."""

    def __init__(
        self,
        topic: str,
        ends: dict[str, dict[int, int]],
        clock: Callable[[], float] = time.monotonic,
        *,
        late_topic: str = "",
        floor_us: int = 0,
    ) -> None:
        self._topic = topic
        self._ends = ends
        self._clock = clock
        self._late_topic = late_topic
        self._floor_us = floor_us
        self._next = 0.0

    def delivered(self, message: Any) -> None:
        """The broker has taken a record."""
        ends = self._ends.get(message.topic())
        if ends is not None:
            ends[message.partition()] = message.offset() + 1

    def stamped(self, record: Record) -> int:
        """The record's timestamp in milliseconds; a label's never before what was promised.

        Labels may come about late, with a time that has passed; transactions are sent in order.
        """
        if record.topic != self._late_topic:
            return record.timestamp_us // 1000
        return max(record.timestamp_us, self._floor_us) // 1000

    def made(self, until_us: int, wall_us: int, *, is_last: bool = False) -> Record | None:
        """A promise as a record, unless one was made a moment ago.

        Nothing on its way to the broker may be stamped before `until_us`.
        """
        now = self._clock()
        if until_us <= self._floor_us or (now < self._next and not is_last):
            return None
        self._floor_us, self._next = until_us, now + PROMISE_SECONDS
        body = Promise(until_us // 1000, self._ends).to_json()
        return Record(self._topic, next(iter(self._ends)), body, wall_us, (0, 0))


def open_promises(kafka: KafkaSettings) -> Promises:
    """Promises about the settings' transactions and labels, from where both topics end now."""
    ends = {
        topic: {span.partition: span.end for span in full_ranges(kafka, topic)}
        for topic in (kafka.topic, kafka.labels_topic)
    }
    return Promises(
        kafka.frontiers_topic, ends, late_topic=kafka.labels_topic, floor_us=last_promise_us(kafka)
    )


def last_promise_us(kafka: KafkaSettings) -> int:
    """What was promised last on the settings' topics; 0 for nothing."""
    return max((promise.until_ms for promise in newest_promises(kafka)), default=0) * 1000
