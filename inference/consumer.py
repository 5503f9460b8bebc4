"""The direct consumer: the low-latency path around the same scorer, without Spark.

Per round: 1. poll what is there; 2. score the records of all partitions, which reads and writes
feature state; 3. send the answers. Every `COMMIT_SECONDS`, as soon as no answer is under way:
4. mark how far the state is, commit; a round waits for it only when that never comes about. State
can be replayed from the last commit on, so a crash anywhere decides the records after it again,
from the same features. With a transactional outbox every round ends with 4 as one step, and readers
of committed records see no repeat.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from confluent_kafka import OFFSET_INVALID, KafkaError, KafkaException, TopicPartition

from contracts.errors import BrokerError
from inference.model_pool import ModelPool
from inference.outbox import Outbox
from inference.records import SENT_HEADER, Answers, SourceBatch
from inference.scorer import Scorer
from inference.tallies import Meter

logger = logging.getLogger(__name__)

BATCH_RECORDS = 5_000
COMMIT_SECONDS = 0.5
"""After a crash about so much is decided again."""
PATIENCE_SECONDS = 2.0
"""When answers have been under way all the time for so long, a round waits for them."""
POLL_SECONDS = 0.2
REFUSED_SECONDS = 60.0
"""So long a group's coordinator may refuse commits: it is away, or still reading its records."""


class Client(Protocol):
    """The part of a confluent-kafka `Consumer` that is used here."""

    def subscribe(self, topics: list[str], **callbacks: Callable[[Any, Any], None]) -> None:
        """Join the group."""

    def poll(self, timeout: float) -> Any:
        """One message, or None."""

    def consume(self, num_messages: int, timeout: float) -> list[Any]:
        """Up to so many messages."""

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> Any:
        """Commit offsets."""

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        """What the group has committed."""

    def incremental_assign(self, partitions: list[TopicPartition]) -> None:
        """Take partitions over, from their offsets."""

    def incremental_unassign(self, partitions: list[TopicPartition]) -> None:
        """Give partitions up."""

    def consumer_group_metadata(self) -> object:
        """This member's identity, for transactions."""

    def close(self) -> None:
        """Leave the group."""


Committed = tuple[KafkaError | None, Sequence[TopicPartition]]


class CommitReports:
    """What Kafka said of commits that nobody waited for, in order."""

    def __init__(self) -> None:
        self._reports: deque[Committed] = deque()

    def add(self, error: KafkaError | None, places: Sequence[TopicPartition]) -> None:
        """The client's callback, from within one of its polls."""
        self._reports.append((error, places))

    def take(self) -> Iterator[Committed]:
        """The reports that nobody has taken yet."""
        while self._reports:
            yield self._reports.popleft()


@dataclass(slots=True)
class Positions:
    """By partition: offsets below `committed` are done for good, below `answered` decided.

    `begun` are partitions of which Kafka does not know yet where the group began.
    """

    committed: dict[int, int] = field(default_factory=dict)
    answered: dict[int, int] = field(default_factory=dict)
    begun: set[int] = field(default_factory=set)

    def pending(self) -> dict[int, int]:
        """Offsets to commit, beginnings among them: a partition may stay without a record."""
        offsets = {p: self.committed[p] for p in self.begun} | self.answered
        return {p: o for p, o in offsets.items() if p in self.begun or self.committed.get(p) != o}

    def settled(self, offsets: Mapping[int, int]) -> None:
        """Kafka knows these."""
        self.committed.update(offsets)
        self.begun -= offsets.keys()

    def forget(self, partition: int) -> None:
        """Another process owns the partition now."""
        self.committed.pop(partition, None)
        self.answered.pop(partition, None)
        self.begun.discard(partition)


class DirectConsumer:
    """One member of the group; several share the partitions."""

    def __init__(
        self,
        client: Client,
        outbox: Outbox,
        scorer: Scorer,
        pool: ModelPool,
        *,
        topic: str,
        starting: Mapping[int, int],
        meter: Meter,
        reports: CommitReports,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._outbox = outbox
        self._scorer = scorer
        self._pool = pool
        self._topic = topic
        self._starting = starting
        self._meter = meter
        self._reports = reports
        self._clock = clock
        self._positions = Positions()
        self._committed_at = clock()
        self._is_committing = False
        self._refused_at: float | None = None
        self._round = 0
        self.answered = 0

    def run(self, stop: threading.Event, each_round: Callable[[], None] = lambda: None) -> None:
        """Decide until `stop` is set; then deliver, commit and leave the group."""
        self._client.subscribe(
            [self._topic],
            on_assign=self._assigned,
            on_revoke=self._revoked,
            on_lost=self._lost,
        )
        try:
            while not stop.is_set():
                self.step()
                each_round()
            self._commit()
        except BaseException:  # also an interrupt: raised again, but nothing more is committed
            # Leaving the group commits what is pending: it would wait for a lost broker once more.
            self._positions = Positions()
            raise
        finally:
            self._client.close()

    def step(self) -> int:
        """One round; returns how many records it answered."""
        held = self._positions.committed
        # A partition may be given up between two records of one poll: its next owner decides them.
        batch = batch_of([m for m in self._polled() if m.partition() in held])
        self._hear()
        if not self._outbox.is_atomic:
            self._commit_when_due()
        if len(batch):
            answers = self._score(batch)
            self._outbox.send(answers, self._round)
            self._meter.count(answers.tally, batch)
            for span in batch.spans:
                self._positions.answered[span.partition] = batch.next_offset(span)
            self._round += 1
            if self._outbox.is_atomic:
                self._settle()
        if self._outbox.is_atomic:
            self._commit_when_due()
        self.answered += len(batch)
        return len(batch)

    def _settle(self) -> None:
        """Wait until what was answered has arrived; an atomic outbox commits it, too."""
        pending = self._positions.pending()
        self._scorer.mark(self._positions.committed)
        self._outbox.settle(pending)
        if self._outbox.is_atomic:
            self._positions.settled(pending)

    def _polled(self) -> list[Any]:
        first = self._client.poll(POLL_SECONDS)
        if first is None:
            return []
        # With no timeout `consume` takes only what has been fetched already.
        messages = [first, *self._client.consume(BATCH_RECORDS - 1, 0.0)]
        return [message for message in messages if _is_data(message)]

    def _score(self, batch: SourceBatch) -> Answers:
        return self._scorer.score(
            batch,
            committed=self._positions.committed,
            model=self._pool.champion,
            challenger=self._pool.challenger,
        )

    def _commit_when_due(self) -> None:
        """Commit without waiting what has arrived; wait only when that never comes about."""
        passed = self._clock() - self._committed_at
        if passed < COMMIT_SECONDS:
            return
        if self._outbox.is_atomic or passed >= PATIENCE_SECONDS:
            self._commit()
        elif not self._is_committing and self._outbox.has_arrived():
            self._committed_at = self._clock()
            pending = self._positions.pending()
            if pending:
                self._scorer.mark(self._positions.committed)
                self._send_commit(pending, asynchronous=True)
                self._is_committing = True

    def _hear(self) -> None:
        """What became of the commit that was sent last."""
        for error, places in self._reports.take():
            self._is_committing = False
            held = self._positions.committed
            if error is None:
                done = {p.partition: p.offset for p in places if p.error is None}
                # A commit that was waited for, or another member's, may have overtaken this one.
                self._settled({p: o for p, o in done.items() if p in held and o >= held[p]})
            else:
                self._put_off(KafkaException(error))

    def _settled(self, offsets: Mapping[int, int]) -> None:
        self._refused_at = None
        self._positions.settled(offsets)

    def _send_commit(self, offsets: Mapping[int, int], *, asynchronous: bool) -> None:
        places = [TopicPartition(self._topic, p, offset) for p, offset in offsets.items()]
        self._client.commit(offsets=places, asynchronous=asynchronous)

    def _commit(self) -> None:
        """Wait until all answers have arrived, and until Kafka has the offsets after them."""
        pending = self._positions.pending()
        self._committed_at = self._clock()
        self._is_committing = False
        if not pending:
            self._refused_at = None
            return
        if not self._outbox.is_atomic:  # whose rounds have settled: only beginnings are left
            self._settle()
        try:
            self._send_commit(pending, asynchronous=False)
        except KafkaException as error:
            self._put_off(error)
            return
        self._settled(pending)

    def _put_off(self, error: KafkaException) -> None:
        """A refused commit is tried again with the next one: what it was for has been delivered.

        Whoever takes a partition over meanwhile decides the same again, with the same bytes.
        """
        if self._refused_at is None:
            self._refused_at = self._clock()
        if self._clock() - self._refused_at >= REFUSED_SECONDS:
            raise BrokerError(
                f"offsets could not be committed for {REFUSED_SECONDS:.0f} s",
                value=error.args[0].str(),
                remedy="Check the broker; a restart decides again from the last commit",
            ) from error
        logger.warning("offsets were not committed: %s", error.args[0].str())

    def _assigned(self, client: Client, partitions: list[TopicPartition]) -> None:
        committed = client.committed(partitions, 10.0)
        for place in committed:
            if place.offset == OFFSET_INVALID:
                place.offset = self._starting.get(place.partition, 0)
                self._positions.begun.add(place.partition)
            self._positions.committed[place.partition] = place.offset
        logger.info("assigned: %s", {p.partition: p.offset for p in committed})
        client.incremental_assign(committed)

    def _revoked(self, client: Client, partitions: list[TopicPartition]) -> None:
        self._commit()
        self._lost(client, partitions)

    def _lost(self, client: Client, partitions: list[TopicPartition]) -> None:
        for place in partitions:
            self._positions.forget(place.partition)
            self._scorer.forget(place.partition)
        client.incremental_unassign(partitions)


def _is_data(message: Any) -> bool:
    error: KafkaError | None = message.error()
    if error is None:
        return True
    if error.retriable() or error.code() == KafkaError._ALL_BROKERS_DOWN:
        logger.warning("Kafka: %s", error.str())
        return False
    raise BrokerError(f"Kafka refused a read: {error.str()}")


def batch_of(messages: list[Any]) -> SourceBatch:
    """Messages as a batch: partition by partition, each in offset order as they came."""
    ordered = sorted(messages, key=lambda message: message.partition())
    size = len(ordered)
    return SourceBatch(
        partitions=np.fromiter((m.partition() for m in ordered), np.int32, size),
        offsets=np.fromiter((m.offset() for m in ordered), np.int64, size),
        timestamps_us=np.fromiter((m.timestamp()[1] * 1000 for m in ordered), np.int64, size),
        keys=[m.key() for m in ordered],
        values=[m.value() for m in ordered],
        sent=[_sent(m.headers()) for m in ordered],
    )


def _sent(headers: list[tuple[str, bytes]] | None) -> bytes | None:
    return next((value for name, value in reversed(headers or ()) if name == SENT_HEADER), None)
