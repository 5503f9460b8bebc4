"""Publishing: what is there is left out, the clock is kept, and a silent broker ends the run."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError

from contracts.errors import BrokerError, SettingsError, StackError
from contracts.settings import load_settings
from producer.lock import sole_publisher
from producer.pace import AtOnce, SteadyRate, TimeLapse, parse_speed
from producer.partition import partition_of
from producer.position import Position, Sent
from producer.publisher import QUEUE_RECORDS, Headers, Publisher, open_client
from producer.records import Record

CHECKOUT = Path(__file__).resolve().parents[2]
Report = Callable[[KafkaError | None, Any], None]


class WallClock:
    """A clock that the test moves."""

    def __init__(self, now_us: int) -> None:
        self.now_us = now_us

    def __call__(self) -> int:
        return self.now_us


class Broker:
    """A client whose broker takes everything at once, or nothing when `is_away`; a small queue."""

    def __init__(self, *, is_away: bool = False, capacity: int = 10) -> None:
        self.is_away = is_away
        self.taken: list[bytes] = []
        self.headers: list[Headers] = []
        self.purged = 0
        self._capacity = capacity
        self._queue: list[tuple[bytes, Report]] = []

    def produce(
        self,
        topic: str,
        *,
        value: bytes,
        key: str,
        timestamp: int,
        on_delivery: Report,
        headers: Headers,
    ) -> None:
        """Queue a record."""
        if len(self._queue) >= self._capacity:
            raise BufferError
        self.headers.append(headers)
        self._queue.append((value, on_delivery))

    def poll(self, timeout: float) -> int:
        """Deliver what is queued."""
        if self.is_away:
            return 0
        queued, self._queue = self._queue, []
        for value, on_delivery in queued:
            self.taken.append(value)
            on_delivery(None, None)
        return len(queued)

    def purge(self) -> None:
        """Drop the queue; each record's sender is told."""
        queued, self._queue = self._queue, []
        self.purged += len(queued)
        for _, on_delivery in queued:
            on_delivery(KafkaError(KafkaError._PURGE_QUEUE), None)

    def __len__(self) -> int:
        return len(self._queue)


def records(count: int, from_second: int = 0) -> list[Record]:
    """Transactions with a number each, a second apart."""
    return [
        Record("transactions", "card", b"%d" % n, second * 1_000_000, (0, n), is_transaction=True)
        for n, second in enumerate(range(from_second, from_second + count))
    ]


def test_records_arrive_in_order_through_a_small_queue() -> None:
    """A full queue makes the sender wait; nothing is lost or reordered."""
    broker = Broker(capacity=7)
    publisher = Publisher(broker, wall_us=lambda: 123)
    publisher.send_all(records(100))
    publisher.flush()
    assert broker.taken == [b"%d" % n for n in range(100)]
    assert (publisher.sent, publisher.delivered) == (100, 100)


def test_only_transactions_carry_the_time_of_sending() -> None:
    """A transaction record has the header `sent_us`; labels and truths have none."""
    broker = Broker()
    publisher = Publisher(broker, wall_us=lambda: 123)
    label = Record("labels", "transaction", b"label", 5, (0, 1), "chargeback")
    publisher.send_all([*records(1), label])
    assert broker.headers == [[("sent_us", "123")], []]


def test_a_broker_that_stays_away_ends_the_run_with_a_way_on() -> None:
    """After the deadline the queue is dropped; the error tells what has arrived and what to do."""
    ticks = iter(range(10_000))
    broker = Broker()
    publisher = Publisher(broker, stall_seconds=30, clock=lambda: float(next(ticks)))
    publisher.send_all(records(20))
    broker.is_away = True
    with pytest.raises(BrokerError, match=r"20 of 30 records delivered.*continues from") as found:
        publisher.send_all(records(50, from_second=3_600))
    assert "before 1970-01-01 01:00:00 UTC" in str(found.value)
    assert broker.purged == 10


def test_memory_is_bounded_while_no_broker_answers() -> None:
    """Kafka's own client, nobody listening: the queue fills to its bound, then the run ends."""
    settings = load_settings(CHECKOUT, environ={"KAFKA_BROKER": "127.0.0.1:1"})
    client = open_client(settings.kafka)
    publisher = Publisher(client, clock=lambda: 0.0 if len(client) < QUEUE_RECORDS else 61.0)
    with pytest.raises(BrokerError, match=r"0 of 50,000 records.*before 1970-01-01 00:00:00"):
        publisher.send_all(records(QUEUE_RECORDS + 1))


def test_a_broker_that_comes_back_in_time_loses_nothing() -> None:
    """A pause shorter than the deadline is waited out."""
    broker = Broker(is_away=True)
    seconds = [0.0]

    def clock() -> float:
        seconds[0] += 1.0
        broker.is_away = seconds[0] < 20
        return seconds[0]

    publisher = Publisher(broker, stall_seconds=30, clock=clock)
    publisher.send_all(records(50))
    publisher.flush()
    assert len(broker.taken) == 50


def test_partition_is_the_java_clients() -> None:
    """Known values of Kafka's own murmur2 test, and the partition made from them."""
    known = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536}
    for key, signed in known.items():
        assert partition_of(key, 7) == (signed & 0x7FFFFFFF) % 7


def test_position_knows_what_each_partition_holds() -> None:
    """A purchase is there when its own partition has it or a later one; else it is not."""
    position = Position(2, {0: Sent("f", (3, 10), 900), 1: Sent("f", (2, 4), 800)})
    assert position.has(0, (3, 10))
    assert position.has(0, (2, 99))
    assert not position.has(0, (3, 11))
    assert not position.has(1, (3, 1))
    assert (position.resume_day, position.resume_us) == (2, 900)


def test_position_with_an_empty_partition_starts_over() -> None:
    """A partition without any record may lack even the first day."""
    assert Position(2, {0: Sent("f", (3, 10), 900)}).resume_day == 0
    assert Position(2, {}).resume_us is None


def test_time_lapse_runs_fast_but_never_into_the_future() -> None:
    """World time is speed times wall time until it meets the wall clock, which it then follows."""
    wall = WallClock(1_000_000_000)
    pace = TimeLapse(from_us=900_000_000, speed=100.0, wall=wall)
    assert pace.due([900_000_000, 900_000_001]) == 1
    assert pace.seconds_until(950_000_000) == pytest.approx(0.5)
    wall.now_us += 500_000
    assert pace.due([950_000_000, 950_000_001]) == 1
    wall.now_us += 100_000_000
    assert pace.due([1_100_500_000, 1_100_500_001]) == 1
    assert pace.seconds_until(1_101_500_000) == pytest.approx(1.0)


def test_a_time_lapse_says_once_that_it_has_caught_up() -> None:
    """The caller is told when the world meets the wall clock, not before and not again."""
    wall, told = WallClock(1_000_000_000), []
    pace = TimeLapse(900_000_000, 100.0, wall, lambda: told.append(wall.now_us))
    for _ in range(3):
        pace.due([900_000_000])
        wall.now_us += 900_000
    pace.due([900_000_000])
    pace.due([900_000_000])
    assert told == [1_001_800_000]


def test_steady_rate_grants_what_it_has_earned() -> None:
    """After a second at 10/s ten records go out, later ones wait, future ones always wait."""
    wall = WallClock(1_000_000_000)
    pace = SteadyRate(10.0, wall)
    assert pace.due([1, 2, 3]) == 0
    wall.now_us += 1_000_000
    assert pace.due(list(range(50))) == 10
    assert pace.due(list(range(50))) == 0
    assert pace.seconds_until(5) == pytest.approx(0.1)
    wall.now_us += 1_000_000
    assert pace.due([wall.now_us + 1]) == 0


def test_at_once_never_waits() -> None:
    """A backfill's pace lets everything through."""
    assert AtOnce().due([5, 6]) == 2
    assert AtOnce().seconds_until(5) == 0


@pytest.mark.parametrize("text", ["0", "-3x", "fast", "inf", "nan"])
def test_an_impossible_speed_is_refused_with_its_value(text: str) -> None:
    """A speed must be a positive number; the message repeats what was given."""
    assert parse_speed("60x") == 60.0
    with pytest.raises(SettingsError, match=text):
        parse_speed(text)


def test_two_publishers_of_one_checkout_exclude_each_other(tmp_path: Any) -> None:
    """The second is refused with the process id of the first; the lock ends with its holder."""
    path = tmp_path / "run" / "producer.lock"
    refused = threading.Event()
    with sole_publisher(path), pytest.raises(StackError, match="process"), sole_publisher(path):
        refused.set()
    assert not refused.is_set()
    with sole_publisher(path):
        pass
