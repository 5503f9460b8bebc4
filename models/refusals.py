"""Records that a snapshot could not read go to the dead-letter topic, each once for good."""

from collections.abc import Iterator, Sequence

from contracts.columns import BadRow
from contracts.errors import BrokerError
from contracts.kafka import RawRecord, full_ranges, make_producer, read_range
from contracts.messages import Rejected
from contracts.rejections import rejected_json
from contracts.settings import KafkaSettings

FLUSH_SECONDS = 30.0

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
    producer = make_producer(kafka)
    for record, bad in new:
        letter = rejected_json(topic, record.partition, record.offset, record.value, bad)
        producer.produce(kafka.rejects_topic, key=record.key, value=letter)
    if left := producer.flush(FLUSH_SECONDS):
        raise BrokerError("dead letters were not delivered", value=left, remedy="Run it again")
    return len(new)


def _known_sources(kafka: KafkaSettings, topic: str) -> Iterator[tuple[int, int]]:
    for span in full_ranges(kafka, kafka.rejects_topic):
        for records in read_range(kafka, span):
            for record in records:
                source = Rejected.model_validate_json(record.value or b"").source
                if source.topic == topic:
                    yield source.partition, source.offset
