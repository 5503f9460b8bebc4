"""The direct consumer: answers are delivered before offsets are committed, never after."""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from confluent_kafka import OFFSET_INVALID, KafkaError, KafkaException, TopicPartition
from inference_fakes import TIME_US, FakeModel, FakeRegistry, transaction

from contracts.errors import BrokerError
from features.definition import FEATURE_SET
from inference.consumer import COMMIT_SECONDS, REFUSED_SECONDS, DirectConsumer, batch_of
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
        if self.refused_commits:
            self.refused_commits -= 1
            raise KafkaException(KafkaError(KafkaError.COORDINATOR_LOAD_IN_PROGRESS))
        self.journal += [f"commit {p.partition}:{p.offset}" for p in offsets]

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
        """Nothing to do."""
        return 0

    def flush(self, timeout: float) -> int:
        """Report on everything queued."""
        for report in self.waiting:
            report(self.failure, None)
        self.waiting = []
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
            clock=lambda: self.now,
        )
        if is_assigned:
            self.consumer._assigned(self.client, [TopicPartition("transactions", 0)])

    def feed(self, *numbers: int) -> None:
        """Put messages of partition 0 in the queue."""
        self.client.queue += [FakeMessage(number) for number in numbers]


def test_answers_arrive_before_their_offsets_are_committed() -> None:
    """Send, mark the state, flush, then commit the offset after the last record."""
    rig = Rig()
    rig.feed(7, 8)
    rig.now = COMMIT_SECONDS
    assert rig.consumer.step() == 2
    kinds = [line.split()[0] for line in rig.journal]
    assert kinds == ["send", "send", "mark", "flush", "commit"]
    assert rig.journal[-1] == "commit 0:9"
    assert "b'123'" in rig.journal[0]


def test_commits_are_spaced_and_state_can_be_replayed_from_the_last() -> None:
    """Between commits the committed offset stays, whatever was delivered."""
    rig = Rig()
    for first, now in ((7, 0.0), (9, COMMIT_SECONDS), (11, COMMIT_SECONDS)):
        rig.now = now
        rig.feed(first, first + 1)
        rig.consumer.step()
    assert rig.scorer.committed == [7, 7, 11]
    assert [line for line in rig.journal if line.startswith("commit")] == ["commit 0:11"]


def test_an_answer_that_does_not_arrive_stops_the_consumer_uncommitted() -> None:
    """A refused record raises, and its offset is not committed."""
    rig = Rig(failure="message too large")
    rig.feed(7)
    rig.now = COMMIT_SECONDS
    with pytest.raises(BrokerError, match="too large"):
        rig.consumer.step()
    assert not any(line.startswith("commit") for line in rig.journal)


def test_a_full_queue_is_waited_for() -> None:
    """No answer is dropped when the producer's buffer is full for a moment."""
    rig = Rig(full_times=3)
    rig.feed(7)
    rig.consumer.step()
    assert sum(line.startswith("send") for line in rig.journal) == 1


def test_a_new_group_begins_where_it_is_told_and_an_old_one_where_it_was() -> None:
    """Committed offsets count; without one the given start does."""
    rig = Rig(is_assigned=False)
    rig.client.held = {1: 55}
    places = [TopicPartition("transactions", 0), TopicPartition("transactions", 1)]
    rig.consumer._assigned(rig.client, places)
    assert [(p.partition, p.offset) for p in rig.client.assigned] == [(0, 7), (1, 55)]


@pytest.mark.parametrize("is_transactional", [False, True])
def test_where_a_group_begins_is_committed_though_no_record_comes(is_transactional: bool) -> None:
    """A restart then needs nobody to say where; what the group had committed stays as it was."""
    rig = Rig(is_assigned=False, is_transactional=is_transactional)
    rig.client.held = {1: 55}
    places = [TopicPartition("transactions", 0), TopicPartition("transactions", 1)]
    rig.consumer._assigned(rig.client, places)
    for _ in range(2):
        rig.now += COMMIT_SECONDS
        rig.consumer.step()
    assert [line for line in rig.journal if line.startswith("commit")] == ["commit 0:7"]


def test_partitions_are_given_up_only_after_a_commit() -> None:
    """A rebalance commits what was delivered first, so the next owner repeats nothing."""
    rig = Rig()
    rig.feed(7)
    rig.consumer.step()
    rig.consumer._revoked(rig.client, [TopicPartition("transactions", 0)])
    assert rig.journal[-3:] == ["commit 0:8", "forget 0", "unassign"]


def test_a_record_of_a_partition_that_was_given_up_is_left_to_its_next_owner() -> None:
    """A poll may hand out a record and then take its partition away: it is not decided here."""
    rig = Rig()
    rig.feed(7)
    rig.consumer._lost(rig.client, [TopicPartition("transactions", 0)])
    rig.now = COMMIT_SECONDS
    assert rig.consumer.step() == 0
    assert not any(line.startswith(("send", "commit")) for line in rig.journal)


@pytest.mark.parametrize("is_transactional", [False, True])
def test_a_consumer_that_fails_leaves_its_group(is_transactional: bool) -> None:
    """Answers that do not arrive end the run, uncommitted; the group is left without more ado."""
    rig = Rig(is_transactional=is_transactional, failure="message too large")
    rig.feed(7)
    rig.now = COMMIT_SECONDS
    with pytest.raises(BrokerError, match="too large"):
        rig.consumer.run(threading.Event())
    assert rig.journal[-1] == "close"
    assert rig.journal.count("flush") == 1
    assert not any(line.startswith("commit") for line in rig.journal)


def test_each_round_is_told_with_or_without_records() -> None:
    """An idle consumer lives; one that hangs in a round tells nothing."""
    rig, stop, rounds = Rig(), threading.Event(), list[int]()
    rig.feed(7)

    def each_round() -> None:
        rounds.append(rig.consumer.answered)
        if len(rounds) == 3:
            stop.set()

    rig.consumer.run(stop, each_round)
    assert rounds == [1, 1, 1]


def test_a_refused_commit_is_tried_again_with_the_next() -> None:
    """While its coordinator is away a group goes on, and replays from the last commit that held."""
    rig = Rig()
    rig.client.refused_commits = 2
    for number in range(4):
        rig.now = number + COMMIT_SECONDS
        rig.feed(7 + number)
        rig.consumer.step()
    assert rig.scorer.committed == [7, 7, 7, 10]
    assert [line for line in rig.journal if line.startswith("commit")] == [
        "commit 0:10",
        "commit 0:11",
    ]


def test_commits_that_are_refused_for_good_end_the_consumer() -> None:
    """A minute of refusals is an error that says what Kafka said."""
    rig = Rig()
    rig.client.refused_commits = 2
    rig.feed(7)
    rig.now = COMMIT_SECONDS
    rig.consumer.step()
    rig.now += REFUSED_SECONDS
    with pytest.raises(BrokerError, match=r"for 60 s.*oordinator"):
        rig.consumer.step()


def test_messages_are_grouped_by_partition_in_order() -> None:
    """A partition's records stand together; offsets, keys and send times side by side."""
    messages = [FakeMessage(3, 1), FakeMessage(8, 0), FakeMessage(4, 1)]
    batch = batch_of(messages)
    first, second = batch.spans()
    assert (first.partition, batch.part(first).offsets.tolist()) == (0, [8])
    assert (second.partition, batch.part(second).offsets.tolist()) == (1, [3, 4])
    assert batch.part(second).sent == [b"123", b"123"]
    assert (batch.next_offset(first), batch.next_offset(second)) == (9, 5)


def test_a_transaction_holds_answers_and_offsets_together() -> None:
    """Begin, send, mark, flush, offsets, commit: and no commit of its own afterwards."""
    rig = Rig(is_transactional=True)
    for first in (7, 8):
        rig.feed(first)
        rig.now += COMMIT_SECONDS
        rig.consumer.step()
    kinds = [line.split()[0] for line in rig.journal]
    assert kinds == ["begin", "send", "mark", "flush", "offsets", "commit"] * 2
    assert rig.journal[4] == "offsets 0:8 member"
    assert rig.scorer.committed == [7, 8]


def test_a_transaction_that_fails_is_undone_as_a_whole() -> None:
    """A refused record undoes the transaction; no offset moves."""
    rig = Rig(is_transactional=True, failure="refused")
    rig.feed(7)
    with pytest.raises(BrokerError, match="undone"):
        rig.consumer.step()
    assert rig.journal[-1] == "abort"
    assert not any(line.startswith("offsets") for line in rig.journal)
