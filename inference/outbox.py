"""Sending answers and knowing that all of them arrived."""

from collections.abc import Callable
from typing import Any, Protocol

from contracts.errors import BrokerError
from inference.records import BATCH_HEADER, SENT_HEADER, Answers

DELIVERY_SECONDS = 30.0


class Sender(Protocol):
    """The part of a confluent-kafka `Producer` that is used here."""

    def produce(
        self,
        topic: str,
        *,
        key: bytes | None,
        value: bytes,
        headers: list[tuple[str, bytes]],
        on_delivery: Callable[[Any, Any], None],
    ) -> None:
        """Queue a record; BufferError when the queue is full."""

    def poll(self, timeout: float) -> int:
        """Serve delivery reports."""

    def flush(self, timeout: float) -> int:
        """Wait for deliveries; returns how many are still queued."""


class Outbox:
    """Delivers the answers of a batch as a whole."""

    def __init__(self, sender: Sender, *, delivery_seconds: float = DELIVERY_SECONDS) -> None:
        self._sender = sender
        self._delivery_seconds = delivery_seconds
        self._failure = ""

    def send(self, answers: Answers, batch_id: int) -> None:
        """Queue every answer; returns before they have arrived."""
        tag = (BATCH_HEADER, str(batch_id).encode())
        for topic, key, value, sent in answers.rows():
            headers = [tag] if sent is None else [tag, (SENT_HEADER, sent)]
            self._queue(topic, key, value, headers)

    def _queue(
        self, topic: str, key: bytes | None, value: bytes, headers: list[tuple[str, bytes]]
    ) -> None:
        while True:
            try:
                self._sender.produce(
                    topic, key=key, value=value, headers=headers, on_delivery=self._on_delivery
                )
            except BufferError:
                self._sender.poll(0.01)
            else:
                return

    def _on_delivery(self, error: Any, message: Any) -> None:
        if error is not None:
            self._failure = self._failure or str(error)

    def settle(self) -> None:
        """Wait until everything queued has arrived.

        Raises:
            BrokerError: the broker refused a record, or the deadline passed.
        """
        left = self._sender.flush(self._delivery_seconds)
        if left or self._failure:
            raise BrokerError(
                f"answers were not delivered: {self._failure or 'the deadline passed'}",
                value=f"{left} records",
                remedy="Check the broker; a restart decides them again from the last commit",
            )
