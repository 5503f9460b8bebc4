"""What a publisher promises is kept, whatever is still on its way."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from contracts.frontiers import Promise
from producer.promises import Promises
from producer.publisher import Publisher
from producer.records import Record

ENDS = {"transactions": {0: 0, 1: 7}, "labels": {0: 0}}


@dataclass(frozen=True)
class Taken:
    """A record as a broker has it."""

    name: str
    number: int
    place: int
    value: bytes
    timestamp: int

    def topic(self) -> str:
        """As confluent-kafka tells it."""
        return self.name

    def partition(self) -> int:
        """As confluent-kafka tells it."""
        return self.number

    def offset(self) -> int:
        """As confluent-kafka tells it."""
        return self.place


class Broker:
    """A client whose broker takes records when it is polled."""

    def __init__(self) -> None:
        self.is_away = False
        self.log: list[Taken] = []
        self._queue: list[tuple[Taken, Callable[[None, Any], None]]] = []

    def produce(self, topic: str, *, value: bytes, timestamp: int, **options: Any) -> None:
        """Queue a record for partition 0."""
        queued = [taken for taken, _ in self._queue]
        place = sum(taken.name == topic for taken in [*self.log, *queued])
        taken = Taken(topic, 0, place, value, timestamp)
        self._queue.append((taken, options["on_delivery"]))

    def poll(self, timeout: float) -> int:
        """Take what is queued, unless the broker is away."""
        if self.is_away:
            return 0
        queued, self._queue = self._queue, []
        for taken, told in queued:
            self.log.append(taken)
            told(None, taken)
        return len(queued)

    def purge(self) -> None:
        """Drop the queue."""
        self._queue = []

    def __len__(self) -> int:
        return len(self._queue)

    def promises(self) -> list[Promise]:
        """Those that were taken."""
        return [Promise.from_json(taken.value) for taken in self.log if taken.name == "frontiers"]


def publisher(broker: Broker, now: list[float]) -> Publisher:
    """A promising publisher on a clock that the test moves."""
    ends = {topic: dict(known) for topic, known in ENDS.items()}
    return Publisher(
        broker, promises=Promises("frontiers", ends, lambda: now[0], late_topic="labels")
    )


def record(topic: str, time_us: int) -> Record:
    """A record of a moment."""
    return Record(topic, "key", b"value", time_us, (0, 0), is_transaction=topic == "transactions")


def test_nothing_is_promised_beyond_records_under_way() -> None:
    """A promise covers what the broker has acknowledged, and says up to which offsets."""
    broker, now = Broker(), [0.0]
    ours = publisher(broker, now)
    broker.is_away = True
    ours.send(record("transactions", 3_000_000))
    ours.promise(5_000_000)
    broker.is_away = False
    ours.send(record("transactions", 4_000_000))
    ours.flush()
    now[0] = 1.0
    ours.promise(5_000_000)
    ours.flush()
    while_under_way, afterwards = broker.promises()
    assert while_under_way.until_ms == 3_000
    assert while_under_way.ends == {"transactions": {0: 0, 1: 7}, "labels": {0: 0}}
    assert afterwards.until_ms == 5_000
    assert afterwards.ends == {"transactions": {0: 2, 1: 7}, "labels": {0: 0}}


def test_a_steady_stream_promises_up_to_what_is_under_way() -> None:
    """While there is always something on its way, what has arrived is promised nevertheless."""
    broker, now = Broker(), [0.0]
    ours = publisher(broker, now)
    for second in range(1, 6):
        broker.is_away = True
        ours.send(record("transactions", second * 1_000_000))
        now[0] = float(second)
        ours.promise(second * 1_000_000 + 500_000)
        broker.is_away = False
        ours.serve()
    promises = broker.promises()
    assert [promise.until_ms for promise in promises] == [1_000, 2_000, 3_000, 4_000, 5_000]
    for promise in promises:
        later = [t for t in broker.log if t.name == "transactions"][
            promise.ends["transactions"][0] :
        ]
        assert all(taken.timestamp >= promise.until_ms for taken in later)


def test_no_later_label_is_stamped_before_the_promise() -> None:
    """A finding that comes about late carries the promised time; other topics are left alone."""
    broker, now = Broker(), [0.0]
    ours = publisher(broker, now)
    ours.promise(5_000_000)
    for topic in ("labels", "transaction_truth", "transactions"):
        ours.send(record(topic, 3_000_000))
    ours.send(record("labels", 6_000_000))
    ours.flush()
    stamps = [(taken.name, taken.timestamp) for taken in broker.log if taken.name != "frontiers"]
    assert stamps == [
        ("labels", 5_000),
        ("transaction_truth", 3_000),
        ("transactions", 3_000),
        ("labels", 6_000),
    ]


def test_promises_are_few_and_only_go_forward() -> None:
    """Ten a second at most, but the last one is always made; never one that says less."""
    broker, now = Broker(), [0.0]
    ours = publisher(broker, now)
    for until_us, at, is_last in (
        (1_000_000, 0.0, False),
        (2_000_000, 0.04, False),
        (3_000_000, 0.11, False),
        (2_500_000, 0.5, True),
        (4_000_000, 0.12, True),
    ):
        now[0] = at
        ours.promise(until_us, is_last=is_last)
        ours.flush()
    assert [promise.until_ms for promise in broker.promises()] == [1_000, 3_000, 4_000]
