"""Sending answers and knowing that all of them arrived."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol

from confluent_kafka import KafkaException, TopicPartition

from contracts.errors import BrokerError
from inference.records import BATCH_HEADER, SENT_HEADER, Answers

DELIVERY_SECONDS = 60.0
"""A broker may be away so long before the process ends: a restart would not bring it back."""


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

    def __len__(self) -> int:
        """Records that have not arrived."""


class Outbox:
    """Sends answers, and tells when all of them have arrived."""

    is_atomic = False
    """Whether `settle` commits offsets together with the answers."""

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
        self._sender.poll(0.0)

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

    def has_arrived(self) -> bool:
        """Whether everything queued has arrived, without waiting.

        Raises:
            BrokerError: the broker refused a record.
        """
        self._sender.poll(0.0)
        if len(self._sender):
            return False
        self._refuse_undelivered(0)
        return True

    def settle(self, offsets: Mapping[int, int]) -> None:
        """Wait until everything queued has arrived; `offsets` are those after what was answered.

        Raises:
            BrokerError: the broker refused a record, or the deadline passed.
        """
        self._arrive()

    def _arrive(self) -> None:
        self._refuse_undelivered(self._sender.flush(self._delivery_seconds))

    def _refuse_undelivered(self, left: int) -> None:
        if left or self._failure:
            raise BrokerError(
                f"answers were not delivered: {self._failure or 'the deadline passed'}",
                value=f"{left} records",
                remedy="Check the broker; a restart decides them again from the last commit",
            )


class TransactionalSender(Sender, Protocol):
    """A producer with a transactional id, initialised."""

    def begin_transaction(self) -> None:
        """Start one."""

    def send_offsets_to_transaction(
        self, positions: list[TopicPartition], group_metadata: object, timeout: float
    ) -> None:
        """Make a group's offsets part of it."""

    def commit_transaction(self, timeout: float) -> None:
        """Make all of it visible at once."""

    def abort_transaction(self, timeout: float) -> None:
        """Undo it."""


class TransactionalOutbox(Outbox):
    """Answers and offsets appear together or not at all, for readers of committed records."""

    is_atomic = True

    def __init__(
        self,
        sender: TransactionalSender,
        topic: str,
        group_metadata: Callable[[], object],
        *,
        delivery_seconds: float = DELIVERY_SECONDS,
    ) -> None:
        super().__init__(sender, delivery_seconds=delivery_seconds)
        self._transactions = sender
        self._topic = topic
        self._group_metadata = group_metadata
        self._is_open = False

    def send(self, answers: Answers, batch_id: int) -> None:
        """Queue every answer inside the open transaction."""
        if not self._is_open:
            self._transactions.begin_transaction()
            self._is_open = True
        super().send(answers, batch_id)

    def settle(self, offsets: Mapping[int, int]) -> None:
        """Commit answers and offsets as one.

        Raises:
            BrokerError: the transaction was undone; a restart decides its records again.
        """
        positions = [TopicPartition(self._topic, p, offset) for p, offset in offsets.items()]
        seconds = self._delivery_seconds
        try:
            self._arrive()
            metadata = self._group_metadata()
            self._transactions.send_offsets_to_transaction(positions, metadata, seconds)
            self._transactions.commit_transaction(seconds)
        except (BrokerError, KafkaException) as error:
            with suppress(KafkaException):  # a fenced one cannot be undone, and needs not be
                self._transactions.abort_transaction(seconds)
            raise BrokerError(
                f"the transaction was undone: {error}",
                remedy="Check the broker; a restart decides its records again",
            ) from error
        finally:
            self._is_open = False
