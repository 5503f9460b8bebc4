"""Sending a few records and knowing that all of them arrived."""

from typing import Any, Protocol

from confluent_kafka import KafkaError, KafkaException

from contracts.errors import BrokerError

FLUSH_SECONDS = 30.0


class Sender(Protocol):
    """What is needed of a producer."""

    def produce(self, *args: Any, **kwargs: Any) -> None:
        """Queue a record, topic first; BufferError when the queue is full."""

    def poll(self, timeout: float, /) -> int:
        """Wait for reports; how many there were."""

    def flush(self, timeout: float, /) -> int:
        """Wait for all reports; how many records are left without one."""

    def __len__(self) -> int:
        """How many records wait."""


class Delivery:
    """Sends records and knows at the end that all of them arrived; `what` names them in errors."""

    def __init__(self, producer: Sender, what: str) -> None:
        self._producer = producer
        self._what = what
        self._failure = ""

    def send(self, topic: str, key: bytes | None, value: bytes, **more: Any) -> None:
        """Queue one; waits while the queue is full. `more` is for the producer: headers and such.

        Raises:
            BrokerError: the client refuses it, or the queue stays full.
        """
        record = {"key": key, "value": value, "on_delivery": self._on_delivery, **more}
        while True:
            try:
                self._producer.produce(topic, **record)
            except BufferError:
                if self._producer.poll(FLUSH_SECONDS) == 0:
                    raise self._undelivered(len(self._producer)) from None
            except KafkaException as error:
                self._failure = error.args[0].str()
                raise self._undelivered(1) from error
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
        reason = self._failure or "the deadline passed"
        return BrokerError(
            f"{self._what} did not arrive: {reason}",
            value=f"{left} waiting",
            remedy="Check the broker with `fraud status` and run it again",
        )
