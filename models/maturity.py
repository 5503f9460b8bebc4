"""How much has matured since the champion learned: the reason to train again."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from contracts.kafka import OffsetRange, full_ranges, read_range
from contracts.settings import KafkaSettings, Settings
from contracts.wire import LABELS, parse_records
from models.folds import DAY_US
from models.registry import champion_version, load_bundle


@dataclass(frozen=True, slots=True)
class Matured:
    """Frauds whose transactions became old enough between two times, microseconds.

    `version` is the champion that has not seen them.
    """

    version: str
    since_us: int
    until_us: int
    frauds: int


def matured_since_champion(settings: Settings) -> Matured | None:
    """Count by the newest labels in Kafka; None without a champion or a transaction.

    'Now' is the newest transaction's record time, so a time-lapse counts by its own clock.

    Raises:
        BrokerError, RegistryError: a server does not answer.
        BundleError: the champion was made for other features than this code's.
    """
    version = champion_version(settings)
    now_us = newest_time_us(settings.kafka)
    if version is None or now_us is None:
        return None
    since_us = int(load_bundle(settings, version).details["training"]["folds"]["test_end"])
    until_us = now_us - settings.learning.maturity_days * DAY_US
    labels = _labels(settings.kafka)
    return Matured(version, since_us, until_us, count_matured(labels, since_us, until_us))


def count_matured(labels: Iterable[dict[str, Any]], since_us: int, until_us: int) -> int:
    """Transactions with since <= event_time < until whose newest label says fraud."""
    newest: dict[tuple[str, str], tuple[int, bool]] = {}
    for label in labels:
        if since_us <= label["event_time"] < until_us:
            key = (label["card_id"], label["transaction_id"])
            known = newest.get(key)
            if known is None or label["label_time"] >= known[0]:
                newest[key] = (label["label_time"], label["is_fraud"])
    return sum(is_fraud for _, is_fraud in newest.values())


def newest_time_us(kafka: KafkaSettings) -> int | None:
    """The largest record time among the partitions' last transactions."""
    last = [
        OffsetRange(span.topic, span.partition, max(span.start, span.end - 1), span.end)
        for span in full_ranges(kafka, kafka.topic)
    ]
    times = [r.timestamp_ms for span in last for rows in read_range(kafka, span) for r in rows]
    return max(times) * 1000 if times else None


def _labels(kafka: KafkaSettings) -> Iterator[dict[str, Any]]:
    """Every readable label, in offset order by partition; a key has one partition."""
    for span in full_ranges(kafka, kafka.labels_topic):
        for records in read_range(kafka, span):
            yield from parse_records([r.value for r in records], LABELS).table.to_pylist()
