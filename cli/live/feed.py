"""Reads decisions, labels and rejections from Kafka into a tally, and what is still undecided."""

from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import orjson
from confluent_kafka import Message, TopicPartition

from cli.live.tally import Tally
from contracts.kafka import full_ranges, make_reader
from contracts.settings import KafkaSettings
from inference.records import SENT_HEADER, age_ms

POLL_SECONDS = 0.2


@dataclass(slots=True)
class Coverage:
    """Which transaction records have an answer, over the whole life of the score topic."""

    decided: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    rejected: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))

    def unanswered(self, start: dict[int, int], end: dict[int, int]) -> int:
        """Records in [start, end) that neither a decision nor a rejection answers."""
        return sum(
            len(set(range(start[p], end[p])) - self.decided[p] - self.rejected[p]) for p in end
        )

    def highest(self) -> dict[int, int]:
        """Partition to the offset after its last answer."""
        parts = self.decided.keys() | self.rejected.keys()
        return {p: max(self.decided[p] | self.rejected[p], default=-1) + 1 for p in parts}

    def count(self, answers: dict[int, set[int]], start: dict[int, int]) -> int:
        """Answers to records at or after `start`."""
        return sum(sum(o >= start.get(p, 0) for o in offsets) for p, offsets in answers.items())


class Feed:
    """A reader of everything that the live view needs, from the beginning of each topic.

    What was appended before `since_ms` counts for coverage, not for the tally.
    """

    def __init__(self, kafka: KafkaSettings, tally: Tally, *, since_ms: int) -> None:
        self._kafka = kafka
        self._tally = tally
        self._since_ms = since_ms
        self.coverage = Coverage()
        self._consumer = make_reader(kafka, **{"enable.partition.eof": False})
        topics = (kafka.scores_topic, kafka.labels_topic, kafka.rejects_topic)
        self._consumer.assign(
            [
                TopicPartition(span.topic, span.partition, span.start)
                for topic in topics
                for span in full_ranges(kafka, topic)
            ]
        )

    def poll(self) -> int:
        """Take in what has arrived; returns how many records."""
        messages = self._consumer.consume(5_000, timeout=POLL_SECONDS)
        for message in messages:
            if message.error() is None:
                self._take(message)
        return len(messages)

    def _take(self, message: Message) -> None:
        try:
            body = orjson.loads(message.value() or b"")
        except orjson.JSONDecodeError:  # somebody else's record; the stream makes a letter of it
            return
        if message.topic() == self._kafka.scores_topic:
            self._take_decision(message, body)
        elif message.topic() == self._kafka.labels_topic:
            with suppress(KeyError, TypeError):  # a label that lacks what labels have is no label
                self._tally.add_label(body)
        elif body["source"]["topic"] == self._kafka.topic:
            self.coverage.rejected[body["source"]["partition"]].add(body["source"]["offset"])

    def _take_decision(self, message: Message, body: dict[str, Any]) -> None:
        source = body["source"]
        if source["topic"] == self._kafka.topic:
            self.coverage.decided[source["partition"]].add(source["offset"])
        appended_ms = message.timestamp()[1]
        if appended_ms >= self._since_ms:
            age = _age_ms(message, appended_ms)
            self._tally.add_decision(body, appended_ms=appended_ms, age_ms=age)

    def transaction_ends(self) -> dict[int, int]:
        """Partition to the offset after the last transaction."""
        return {span.partition: span.end for span in full_ranges(self._kafka, self._kafka.topic)}

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()


def _age_ms(message: Message, appended_ms: int) -> float | None:
    headers: dict[str, bytes] = dict(message.headers() or ())  # type: ignore[arg-type]
    return age_ms(headers.get(SENT_HEADER), appended_ms)
