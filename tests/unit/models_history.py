"""A few thousand transactions with labels as a Kafka stand-in: frauds spend many times as much."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import orjson

from contracts.kafka import OffsetRange, RawRecord
from contracts.settings import KafkaSettings
from models.refusals import Refused

START_US = 1_767_225_600_000_000
DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class MemoryLog:
    """Records by topic, one partition."""

    topics: dict[str, list[RawRecord]]

    def ranges(self, topic: str) -> list[OffsetRange]:
        """Everything."""
        return [OffsetRange(topic, 0, 0, len(self.topics.get(topic, [])))]

    def read(self, span: OffsetRange) -> Iterable[list[RawRecord]]:
        """In one batch."""
        return [self.topics.get(span.topic, [])[span.start : span.end]]

    def refuse(self, topic: str, refused: Sequence[Refused]) -> int:
        """Every record of this history can be read."""
        assert not refused, (topic, refused)
        return 0


def make_log(
    kafka: KafkaSettings, *, count: int = 9000, days: int = 60, seed: int = 3
) -> MemoryLog:
    """A history whose every thirtieth transaction is a fraud, labelled within two days."""
    generator = np.random.default_rng(seed)
    times = np.sort(generator.integers(0, days * DAY_US, count)) + START_US
    fraud = generator.random(count) < 1 / 30
    amount = generator.integers(500, 6000, count)
    amount[fraud] *= generator.integers(2, 12, int(fraud.sum()))
    cards = generator.integers(0, 300, count)
    transactions, labels = [], []
    for number in range(count):
        time = int(times[number])
        body = {
            "schema_version": 1,
            "transaction_id": f"t{number}",
            "event_time": time,
            "card_id": f"c{cards[number]}",
            "merchant_id": f"m{number % 40}",
            "amount_minor": int(amount[number]),
        }
        transactions.append((time, body))
        if fraud[number]:
            late = time + int(generator.integers(1, 48)) * DAY_US // 24
            names = ("transaction_id", "card_id", "merchant_id", "event_time", "schema_version")
            known = {name: body[name] for name in names}
            labels.append(
                (late, known | {"is_fraud": True, "label_time": late, "source": "chargeback"})
            )
    return MemoryLog({kafka.topic: _records(transactions), kafka.labels_topic: _records(labels)})


def _records(rows: list[tuple[int, dict[str, object]]]) -> list[RawRecord]:
    ordered = sorted(rows, key=lambda row: row[0])
    return [
        RawRecord(0, offset, time // 1000, b"k", orjson.dumps(body))
        for offset, (time, body) in enumerate(ordered)
    ]
