"""The world on a real Kafka: exact after kills, where the Java client would put it, resumable."""

import itertools
import multiprocessing
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import orjson
import psutil
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from contracts.errors import BrokerError, DataError, SettingsError
from contracts.kafka import full_ranges, make_producer, read_range
from contracts.settings import KafkaSettings, Settings, WorldSettings
from producer.aftermath import open_aftermath
from producer.pace import AtOnce, SteadyRate
from producer.partition import partition_of
from producer.position import find_world
from producer.publisher import open_publisher
from producer.raid import open_raid
from producer.records import Record, Writer
from producer.run import Result, Run, Status, world_of
from producer.spec import DAY_US, WorldSpec
from producer.world import World

pytestmark = pytest.mark.integration

DAYS = 40
THIEFS = 2_000
NOW_US = 20_700 * DAY_US


class Silent:
    """A view that shows nothing."""

    def update(self, status: Status) -> None:
        """Ignore the status."""


class At:
    """A view that acts once, when the run has sent `days` of its world."""

    def __init__(self, days: float, act: Callable[[], None]) -> None:
        self._days = days
        self._act: Callable[[], None] | None = act

    def update(self, status: Status) -> None:
        """Act if it is time."""
        if self._act is not None and status.done_days >= self._days:
            self._act, act = None, self._act
            act()


def small_world(settings: Settings, cards: int) -> WorldSettings:
    """The settings' world, smaller."""
    return settings.world.model_copy(update={"cards": cards, "backfill_days": DAYS})


def backfill(kafka: KafkaSettings, world: WorldSettings) -> Result:
    """What `fraud produce backfill` does, without a terminal."""
    spec = world_of(kafka, world, NOW_US)
    run = Run(kafka, spec, open_publisher(kafka), Silent(), threading.Event())
    return run.publish(AtOnce(), total_days=world.backfill_days)


def killed_backfill(kafka: KafkaSettings, world: WorldSettings, days: float) -> None:
    """A backfill that is killed when it has sent `days` and at least half of that has arrived."""
    publisher = open_publisher(kafka)

    def kill() -> None:
        while publisher.delivered < publisher.sent / 2:
            publisher.serve(0.001)
        os.kill(os.getpid(), signal.SIGKILL)

    spec = world_of(kafka, world, NOW_US)
    run = Run(kafka, spec, publisher, At(days, kill), threading.Event())
    run.publish(AtOnce(), total_days=DAYS)


def on_topic(kafka: KafkaSettings, topic: str) -> list[Record]:
    """All records of a topic, partition by partition in offset order."""
    return [
        Record(topic, (raw.key or b"").decode(), raw.value or b"", raw.timestamp_ms, (part, 0))
        for span in full_ranges(kafka, topic)
        for part in [span.partition]
        for batch in read_range(kafka, span)
        for raw in batch
    ]


def expected(kafka: KafkaSettings, world: WorldSettings, topic: str) -> Counter[bytes]:
    """What the topic must hold after a backfill, record by record."""
    writer = Writer(World(world_of(kafka, world, NOW_US)), kafka)
    return Counter(
        record.value for day in range(DAYS) for record in writer.day(day) if record.topic == topic
    )


def test_ten_kills_leave_exactly_the_expected_records(kafka_settings: Settings) -> None:
    """Killed with SIGKILL ten times, a backfill ends with no gap and no duplicate on any topic."""
    kafka, world = kafka_settings.kafka, small_world(kafka_settings, 1500)
    context = multiprocessing.get_context("spawn")
    for kill in range(1, 11):
        child = context.Process(target=killed_backfill, args=(kafka, world, kill * DAYS / 13))
        child.start()
        child.join(60)
        assert child.exitcode == -signal.SIGKILL, "the backfill ended before it was killed"
    assert backfill(kafka, world).is_complete
    for topic in (kafka.topic, kafka.labels_topic, kafka.truth_topic):
        found = on_topic(kafka, topic)
        assert Counter(record.value for record in found) == expected(kafka, world, topic), topic
        assert all(partition_of(r.key.encode(), 4) == r.sequence[0] for r in found)
    assert _is_in_time_order(on_topic(kafka, kafka.topic))


def test_a_stopped_run_leaves_nothing_under_way_and_the_next_one_completes_it(
    kafka_settings: Settings,
) -> None:
    """Ctrl-C in a backfill: all that was sent has arrived; the next run adds exactly the rest."""
    kafka, world = kafka_settings.kafka, small_world(kafka_settings, 1500)
    spec, stop = world_of(kafka, world, NOW_US), threading.Event()
    run = Run(kafka, spec, open_publisher(kafka), At(DAYS / 3, stop.set), stop)
    stopped = run.publish(AtOnce(), total_days=DAYS)
    assert not stopped.is_complete
    assert stopped.status.transactions == len(on_topic(kafka, kafka.topic))
    rest = backfill(kafka, world)
    assert rest.is_complete
    found = Counter(record.value for record in on_topic(kafka, kafka.topic))
    assert found == expected(kafka, world, kafka.topic)
    assert rest.status.transactions == found.total() - stopped.status.transactions > 0


def test_a_broker_that_falls_silent_ends_the_run_and_the_next_one_completes_it(
    kafka_settings: Settings,
) -> None:
    """A frozen broker ends the backfill with the time to go on from; the next run fills it up."""
    kafka, world = kafka_settings.kafka, small_world(kafka_settings, 1500)
    spec = world_of(kafka, world, NOW_US)
    broker = _broker_process()
    view = At(DAYS / 3, broker.suspend)
    run = Run(kafka, spec, open_publisher(kafka, stall_seconds=3.0), view, threading.Event())
    try:
        with pytest.raises(BrokerError, match=r"records delivered, all of those before 20\d\d-"):
            run.publish(AtOnce(), total_days=DAYS)
    finally:
        broker.resume()
    assert backfill(kafka, world).is_complete
    found = Counter(record.value for record in on_topic(kafka, kafka.topic))
    assert found == expected(kafka, world, kafka.topic)


def _broker_process() -> psutil.Process:
    """The Kafka that this test session started."""
    children = psutil.Process().children(recursive=True)
    return next(child for child in children if "kafka.Kafka" in child.cmdline())


def test_a_second_backfill_sends_nothing(kafka_settings: Settings) -> None:
    """Everything is found on the topics, and nothing is sent again."""
    kafka, world = kafka_settings.kafka, small_world(kafka_settings, 200)
    first = backfill(kafka, world).status
    again = backfill(kafka, world).status
    assert first.transactions > 1000
    assert (again.transactions, again.others) == (0, 0)


def test_a_continuation_days_later_keeps_the_anchor(kafka_settings: Settings) -> None:
    """The start day comes from the topic, not from today's date, and other writers do no harm."""
    kafka, world = kafka_settings.kafka, small_world(kafka_settings, 200)
    spec = world_of(kafka, world, NOW_US)
    backfill(kafka, world)
    other = make_producer(kafka)
    for value in (b"not json", b"[]", orjson.dumps({"transaction_id": "theirs", "event_time": 1})):
        other.produce(kafka.topic, key="someone", value=value)
    other.flush(10)
    assert world_of(kafka, world, NOW_US + 9 * DAY_US) == spec
    stop = threading.Event()
    run = Run(kafka, spec, open_publisher(kafka), At(DAYS + 0.5, stop.set), stop)
    result = run.publish(SteadyRate(500.0, lambda: time.time_ns() // 1000), total_days=None)
    assert not result.is_complete
    assert result.status.transactions > 0
    ids = [_id(record) for record in on_topic(kafka, kafka.topic)]
    ours = [name for name in ids if name and name.startswith(spec.fingerprint)]
    assert len(ours) == len(set(ours))


def test_a_world_of_other_settings_is_refused(kafka_settings: Settings) -> None:
    """Resuming with another seed would mix two worlds: refused with what to do."""
    kafka, world = kafka_settings.kafka, small_world(kafka_settings, 100)
    backfill(kafka, world)
    with pytest.raises(SettingsError, match="another seed"):
        find_world(kafka, world.model_copy(update={"seed": 1}))


def test_a_topic_with_foreign_data_is_refused(kafka_settings: Settings) -> None:
    """A world is never begun on a topic that holds somebody else's transactions."""
    kafka = kafka_settings.kafka
    other = make_producer(kafka)
    other.produce(kafka.topic, key="someone", value=b'{"transaction_id": "theirs"}')
    other.flush(10)
    with pytest.raises(BrokerError, match="no synthetic world"):
        find_world(kafka, kafka_settings.world)


def test_a_thief_finds_nobody_on_an_empty_topic(kafka_settings: Settings) -> None:
    """A raid never comes before the world: its records would keep the world from beginning."""
    with pytest.raises(DataError, match="fraud produce backfill"):
        open_raid(kafka_settings.kafka, kafka_settings.world, 1.0, 5.0)


def test_outcomes_follow_decisions_once_across_restarts(kafka_settings: Settings) -> None:
    """Each decision on the scores topic gets one outcome, also when the producer starts again."""
    kafka, world = kafka_settings.kafka, small_world(kafka_settings, 100)
    spec = world_of(kafka, world, NOW_US)
    backfill(kafka, world)
    placed = [
        (span.partition, raw.offset, orjson.loads(raw.value or b""))
        for span in full_ranges(kafka, kafka.topic)
        for batch in read_range(kafka, span)
        for raw in batch
    ]
    for upto in (300, 600):
        _decide(kafka, placed[upto - 300 : upto])
        _run_until(kafka_settings, spec, upto + THIEFS if upto > 300 else upto)
        _outcomes_of_a_thief(kafka, THIEFS if upto == 300 else 0)
    found = on_topic(kafka, kafka.outcomes_topic)
    assert len(found) == len({_id(record) for record in found}) == 600 + THIEFS


def _outcomes_of_a_thief(kafka: KafkaSettings, count: int) -> None:
    """Outcomes that follow no decision of the world's own transactions."""
    thief = make_producer(kafka)
    for number in range(count):
        value = orjson.dumps({"transaction_id": f"thief-{number}"})
        thief.produce(kafka.outcomes_topic, key=f"card-{number}", value=value)
    thief.flush(10)


def _decide(kafka: KafkaSettings, placed: list[tuple[int, int, dict[str, Any]]]) -> None:
    """Put decisions of the kinds that have consequences on the scores topic."""
    scorer = make_producer(kafka)
    for partition, offset, transaction in placed:
        decision = {
            **{name: transaction[name] for name in ("transaction_id", "card_id", "event_time")},
            "decision": ("approve", "review", "decline")[offset % 3],
            "control": False,
            "is_duplicate": False,
            "source": {"topic": kafka.topic, "partition": partition, "offset": offset},
        }
        scorer.produce(kafka.scores_topic, key=transaction["card_id"], value=orjson.dumps(decision))
    scorer.flush(10)


def _run_until(settings: Settings, spec: WorldSpec, outcomes: int) -> None:
    """Go on with the world until the outcomes topic holds so many records."""
    kafka, stop = settings.kafka, threading.Event()
    run = Run(kafka, spec, open_publisher(kafka), Silent(), stop)
    aftermath = open_aftermath(kafka, settings.policy, run.world)
    pace = SteadyRate(200.0, lambda: time.time_ns() // 1000)
    options = {"total_days": None, "consequences": aftermath}
    thread = threading.Thread(target=run.publish, args=(pace,), kwargs=options)
    thread.start()
    try:
        _await_records(kafka, outcomes, topic=kafka.outcomes_topic)
    finally:
        stop.set()
        thread.join(30)


def _await_records(
    kafka: KafkaSettings, count: int, seconds: float = 60.0, topic: str | None = None
) -> None:
    """Return as soon as a topic, by default that of transactions, holds `count` records."""
    admin = AdminClient({"bootstrap.servers": kafka.broker})
    ends = {
        TopicPartition(topic or kafka.topic, number): OffsetSpec.latest()
        for number in range(kafka.partitions)
    }
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = admin.list_offsets(ends)
        if sum(future.result(timeout=10).offset for future in found.values()) >= count:
            return
    raise AssertionError(f"fewer than {count} records after {seconds} s")


def _is_in_time_order(records: list[Record]) -> bool:
    pairs = itertools.pairwise(records)
    return all(a.timestamp_us <= b.timestamp_us for a, b in pairs if a.sequence == b.sequence)


def _id(record: Record) -> str | None:
    try:
        message = orjson.loads(record.value)
    except orjson.JSONDecodeError:
        return None
    return message.get("transaction_id") if isinstance(message, dict) else None
