"""A direct consumer over fakes of its client, its sender and its scorer."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from confluent_kafka import OFFSET_INVALID, KafkaError, KafkaException, TopicPartition
from inference_fakes import TIME_US, FakeModel, FakeRegistry, transaction

from features.definition import FEATURE_SET
from inference.consumer import CommitReports, DirectConsumer
from inference.model_pool import ModelPool
from inference.outbox import Outbox, TransactionalOutbox
from inference.records import Answers, SourceBatch
from inference.tallies import MemoryTallies, Meter


@dataclass(frozen=True)
class FakeMessage:
    """A record as a client hands it over."""

    number: int
    at_partition: int = 0

    def error(self) -> None:
        """None: it is data."""

    def partition(self) -> int:
        """Where it stands."""
        return self.at_partition

    def offset(self) -> int:
        """Its number."""
        return self.number

    def timestamp(self) -> tuple[int, int]:
        """CreateTime."""
        return 1, TIME_US // 1000

    def key(self) -> bytes:
        """A card."""
        return b"c1"

    def value(self) -> bytes:
        """A transaction."""
        return orjson.dumps(transaction(self.number))

    def headers(self) -> list[tuple[str, bytes]]:
        """When it was sent."""
        return [("sent_us", b"123")]


@dataclass
class FakeClient:
    """A group member with a queue of messages; `journal` is shared with the sender."""

    journal: list[str]
    queue: list[FakeMessage] = field(default_factory=list)
    held: dict[int, int] = field(default_factory=dict)
    assigned: list[TopicPartition] = field(default_factory=list)
    callbacks: dict[str, Callable[[Any, Any], None]] = field(default_factory=dict)
    refused_commits: int = 0
    reports: CommitReports = field(default_factory=CommitReports)

    def subscribe(self, topics: list[str], **callbacks: Callable[[Any, Any], None]) -> None:
        """Remember the callbacks."""
        self.callbacks = callbacks

    def poll(self, timeout: float) -> FakeMessage | None:
        """The next message."""
        return self.queue.pop(0) if self.queue else None

    def consume(self, num_messages: int, timeout: float) -> list[FakeMessage]:
        """All the others."""
        taken, self.queue = self.queue, []
        return taken

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> None:
        """Write it down, or refuse it as often as the test wants."""
        error = None
        if self.refused_commits:
            self.refused_commits -= 1
            error = KafkaError(KafkaError.COORDINATOR_LOAD_IN_PROGRESS)
            if not asynchronous:
                raise KafkaException(error)
        else:
            self.journal += [f"commit {p.partition}:{p.offset}" for p in offsets]
        if asynchronous:
            self.reports.add(error, offsets)

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        """What the test put there."""
        return [
            TopicPartition(p.topic, p.partition, self.held.get(p.partition, OFFSET_INVALID))
            for p in partitions
        ]

    def incremental_assign(self, partitions: list[TopicPartition]) -> None:
        """Remember it."""
        self.assigned += partitions

    def incremental_unassign(self, partitions: list[TopicPartition]) -> None:
        """Write it down."""
        self.journal.append("unassign")

    def consumer_group_metadata(self) -> object:
        """Any token."""
        return "member"

    def close(self) -> None:
        """Give up every partition, as a real client does, and write it down."""
        self.callbacks["on_revoke"](self, [TopicPartition("transactions", 0)])
        self.journal.append("close")


@dataclass
class FakeSender:
    """A producer that writes down what arrives; `failure` is reported for every record."""

    journal: list[str]
    failure: str | None = None
    full_times: int = 0
    is_slow: bool = False
    waiting: list[Callable[[Any, Any], None]] = field(default_factory=list)

    def produce(
        self,
        topic: str,
        *,
        key: bytes | None,
        value: bytes,
        headers: list[tuple[str, bytes]],
        on_delivery: Callable[[Any, Any], None],
    ) -> None:
        """Queue it, or be full as often as the test wants."""
        if self.full_times:
            self.full_times -= 1
            raise BufferError
        self.waiting.append(on_delivery)
        self.journal.append(f"send {topic} {dict(headers)}")

    def poll(self, timeout: float) -> int:
        """Report on everything queued, unless the test holds it back."""
        if not self.is_slow:
            self._report()
        return 0

    def __len__(self) -> int:
        """What has not been reported on."""
        return len(self.waiting)

    def _report(self) -> None:
        for report in self.waiting:
            report(self.failure, None)
        self.waiting = []

    def flush(self, timeout: float) -> int:
        """Report on everything queued."""
        self._report()
        self.journal.append("flush")
        return 0


class FakeTransactions(FakeSender):
    """The same inside transactions."""

    def begin_transaction(self) -> None:
        """Write it down."""
        self.journal.append("begin")

    def send_offsets_to_transaction(
        self, positions: list[TopicPartition], group_metadata: object, timeout: float
    ) -> None:
        """Write it down."""
        self.journal += [f"offsets {p.partition}:{p.offset} {group_metadata}" for p in positions]

    def commit_transaction(self, timeout: float) -> None:
        """Write it down."""
        self.journal.append("commit transaction")

    def abort_transaction(self, timeout: float) -> None:
        """Write it down."""
        self.journal.append("abort")


class EchoScorer:
    """One answer per record; remembers the committed offsets it was told."""

    def __init__(self, journal: list[str]) -> None:
        self.journal = journal
        self.committed: list[int] = []

    def score(
        self,
        batch: SourceBatch,
        *,
        committed: Mapping[int, int],
        model: FakeModel | None,
        **_: object,
    ) -> Answers:
        """The record itself."""
        self.committed.append(committed[0])
        answers = Answers()
        values = [value or b"" for value in batch.values]
        answers.add("scores", batch.keys, values, batch.sent)
        return answers

    def mark(self, partitions: Iterable[int]) -> None:
        """Write it down."""
        self.journal += [f"mark {partition}" for partition in partitions]

    def forget(self, partition: int) -> None:
        """Write it down."""
        self.journal.append(f"forget {partition}")


class Rig:
    """A consumer with fakes around it, and a clock that the test moves."""

    def __init__(
        self, *, is_transactional: bool = False, is_assigned: bool = True, **sender: Any
    ) -> None:
        self.journal: list[str] = []
        self.now = 0.0
        self.client = FakeClient(self.journal)
        self.scorer = EchoScorer(self.journal)
        self.sender = (FakeTransactions if is_transactional else FakeSender)(self.journal, **sender)
        outbox = Outbox(self.sender)
        if isinstance(self.sender, FakeTransactions):
            metadata = self.client.consumer_group_metadata
            outbox = TransactionalOutbox(self.sender, "transactions", metadata)
        self.consumer = DirectConsumer(
            self.client,
            outbox,
            self.scorer,  # type: ignore[arg-type]
            ModelPool(FakeRegistry(), FEATURE_SET.hash),
            topic="transactions",
            starting={0: 7},
            meter=Meter(MemoryTallies()),
            reports=self.client.reports,
            clock=lambda: self.now,
        )
        if is_assigned:
            self.consumer._assigned(self.client, [TopicPartition("transactions", 0)])

    def feed(self, *numbers: int) -> None:
        """Put messages of partition 0 in the queue."""
        self.client.queue += [FakeMessage(number) for number in numbers]
