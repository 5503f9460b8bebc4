"""Records that a snapshot could not read go to the dead-letter topic, each once for good."""

from collections.abc import Iterator, Sequence

from pydantic import ValidationError

from contracts.columns import BadRow
from contracts.delivery import Delivery
from contracts.kafka import RawRecord, full_ranges, make_producer, read_range
from contracts.messages import Rejected
from contracts.rejections import rejected_json
from contracts.settings import KafkaSettings

Refused = tuple[RawRecord, BadRow]


def send_refused(kafka: KafkaSettings, topic: str, refused: Sequence[Refused]) -> int:
    """Write a dead letter for each record that has none yet; returns how many were new.

    The letters that exist are read first, so another snapshot, or a retry, adds nothing.

    Raises:
        BrokerError: the broker is out of reach or did not take them all.
    """
    if not refused:
        return 0
    known = set(_known_sources(kafka, topic))
    new = [pair for pair in refused if (pair[0].partition, pair[0].offset) not in known]
    delivery = Delivery(make_producer(kafka), "dead letters")
    for record, bad in new:
        letter = rejected_json(topic, record.partition, record.offset, record.value, bad)
        delivery.send(kafka.rejects_topic, record.key, letter)
    delivery.finish()
    return len(new)


def _known_sources(kafka: KafkaSettings, topic: str) -> Iterator[tuple[int, int]]:
    for span in full_ranges(kafka, kafka.rejects_topic):
        for records in read_range(kafka, span):
            for record in records:
                try:
                    source = Rejected.model_validate_json(record.value or b"").source
                except ValidationError:
                    continue  # somebody else's record: it names no source
                if source.topic == topic:
                    yield source.partition, source.offset
