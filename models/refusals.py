"""Records that a snapshot could not read go to the dead-letter topic, each once for good."""

from collections.abc import Iterator, Sequence

from confluent_kafka import KafkaError
from pydantic import ValidationError

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
    delivery = Delivery(kafka)
    for record, bad in new:
        letter = rejected_json(topic, record.partition, record.offset, record.value, bad)
        delivery.send(kafka.rejects_topic, record.key, letter)
    delivery.finish()
    return len(new)


class Delivery:
    """Sends records and knows at the end that all of them arrived."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._producer = make_producer(kafka)
        self._failure = ""

    def send(self, topic: str, key: bytes | None, value: bytes) -> None:
        """Queue one; waits while the queue is full."""
        while True:
            try:
                self._producer.produce(topic, key=key, value=value, on_delivery=self._on_delivery)
            except BufferError:
                if self._producer.poll(FLUSH_SECONDS) == 0:
                    raise self._undelivered(len(self._producer)) from None
            else:
                return

    def _on_delivery(self, error: KafkaError | None, message: object) -> None:
        if error is not None:
            self._failure = self._failure or error.str()

    def finish(self) -> None:
        """Wait for all; BrokerError when one did not arrive."""
        left = self._producer.flush(FLUSH_SECONDS)
        if left or self._failure:
            raise self._undelivered(left)

    def _undelivered(self, left: int) -> BrokerError:
        return BrokerError(
            f"dead letters were not delivered: {self._failure or 'the deadline passed'}",
            value=f"{left} records",
            remedy="Check the broker and run it again: what has arrived is not sent twice",
        )


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
