"""Publishing a world: a backfill as fast as Kafka takes it, or on at the pace of a clock."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import count
from typing import Protocol

from contracts.settings import KafkaSettings, WorldSettings
from producer.pace import Pace
from producer.partition import partition_of
from producer.position import Position, find_world, known_ids, read_position
from producer.publisher import Publisher, Stop
from producer.records import Record, Writer
from producer.spec import DAY_US, WorldSpec, fresh_start_day, spec_from
from producer.world import World

_FLUSH_DAYS = 10
"""Everything of a day has arrived before the tenth day after it begins."""
_LOOK_BACK_DAYS = _FLUSH_DAYS + 2
_IDLE_SECONDS = 0.2
_SHORTEST_NAP_SECONDS = 0.005
"""Finer sleeps cost more than they give."""
_CHUNK = 2_000


@dataclass(frozen=True, slots=True)
class Status:
    """How far a run is: records sent and found there, world time, `total_days` None: no end.

    `others` are labels and truths.
    """

    transactions: int
    others: int
    already_there: int
    world_us: int
    done_days: float
    total_days: int | None


class View(Protocol):
    """Shows the progress of a run."""

    def update(self, status: Status) -> None:
        """Called often, also while waiting; must be cheap."""


class Consequences(Protocol):
    """What decisions on the run's transactions lead to."""

    def allows(self, record: Record) -> bool:
        """Whether this planned record still makes sense."""

    def arrived(self, world_us: int) -> list[Record]:
        """Records that have come about, for the world's time or earlier."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a run did; `is_complete` is false when it was stopped."""

    status: Status
    is_complete: bool


@contextmanager
def few_collections() -> Iterator[None]:
    """Look for garbage rarely: records are no cycles, and looking costs a quarter of the time."""
    usual = gc.get_threshold()
    gc.set_threshold(200_000)
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def world_of(kafka: KafkaSettings, world: WorldSettings, now_us: int) -> WorldSpec:
    """The world on the topic, or a fresh one when the topic is empty."""
    return find_world(kafka, world) or spec_from(world, fresh_start_day(world, now_us))


class Run:
    """Sends the days of a world, leaving out what the topics hold already."""

    def __init__(
        self, kafka: KafkaSettings, spec: WorldSpec, publisher: Publisher, view: View, stop: Stop
    ) -> None:
        self.world = World(spec)
        self._kafka = kafka
        self._spec = spec
        self._writer = Writer(self.world, kafka)
        self._publisher = publisher
        self._view = view
        self._stop = stop
        self._position = read_position(kafka, spec)
        self._known = {
            topic: known_ids(kafka, topic) for topic in (kafka.labels_topic, kafka.truth_topic)
        }
        self._partition = lru_cache(maxsize=None)(self._partition_of)

    @property
    def position(self) -> Position:
        """What was on the topics when the run was made."""
        return self._position

    @property
    def world_us(self) -> int:
        """The world time at which the run begins."""
        return self._position.resume_us or self._spec.start_us

    def publish(
        self, pace: Pace, *, total_days: int | None, consequences: Consequences | None = None
    ) -> Result:
        """Send everything missing up to the end of `total_days`; None goes on until stopped."""
        status = Status(0, 0, 0, self.world_us, self._done_days(self.world_us), total_days)
        with few_collections():
            return self._publish(pace, status, consequences)

    def _publish(self, pace: Pace, status: Status, consequences: Consequences | None) -> Result:
        total_days = status.total_days
        for day in self._days(total_days):
            records = self._writer.day(day)
            missing = self._missing(records)
            there = status.already_there + len(records) - len(missing)
            status = replace(status, already_there=there)
            times_us = [record.timestamp_us for record in missing]
            start = 0
            while start < len(missing):
                self._publisher.promise(times_us[start] - pace.slack_us)
                end = start + pace.due(times_us[start : start + _CHUNK])
                sent = self._send(missing[start:end], status.world_us, consequences)
                status = self._counted(status, sent)
                self._view.update(status)
                start = end
                if self._is_stopped_within(pace, times_us[start:]):
                    self._end(status.world_us)
                    return Result(status, start == len(missing) and day + 1 == total_days)
        self._end(status.world_us)
        return Result(status, True)

    def _end(self, last_us: int) -> None:
        """Wait until everything has arrived, and say that nothing earlier will follow."""
        self._publisher.flush()
        self._publisher.promise(last_us, is_last=True)
        self._publisher.flush()

    def _send(
        self, due: list[Record], world_us: int, consequences: Consequences | None
    ) -> list[Record]:
        """Send what is due and what has come about meanwhile; returns what was due and sent."""
        if consequences is None:
            self._publisher.send_all(due)
            return due
        come_about = consequences.arrived(world_us)
        fresh = [record for record in come_about if not self._is_known(record)]
        planned = [record for record in due if consequences.allows(record)]
        self._publisher.send_all([*fresh, *planned])
        return planned

    def _days(self, total_days: int | None) -> Iterator[int]:
        first = max(0, self._position.resume_day - _LOOK_BACK_DAYS)
        for day in count(first) if total_days is None else range(first, total_days):
            if day % _FLUSH_DAYS == 0:
                self._publisher.flush()
            yield day

    def _missing(self, records: list[Record]) -> list[Record]:
        if not self._position.last and not any(self._known.values()):
            return records
        return [record for record in records if not self._is_there(record)]

    def _is_there(self, record: Record) -> bool:
        if record.is_transaction:
            return self._position.has(self._partition(record.key), record.sequence)
        return self._is_known(record)

    def _is_known(self, record: Record) -> bool:
        return (record.key, record.source) in self._known.get(record.topic, ())

    def _is_stopped_within(self, pace: Pace, waiting_us: list[int]) -> bool:
        """Sleep until the next record is due, or briefly; whether the run is to end."""
        if not waiting_us:
            return self._stop.is_set()
        seconds = pace.seconds_until(waiting_us[0])
        if seconds <= 0:
            return self._stop.is_set()
        self._publisher.serve()
        return self._stop.wait(min(max(seconds, _SHORTEST_NAP_SECONDS), _IDLE_SECONDS))

    def _counted(self, status: Status, sent: list[Record]) -> Status:
        if not sent:
            return status
        transactions = sum(record.is_transaction for record in sent)
        return replace(
            status,
            transactions=status.transactions + transactions,
            others=status.others + len(sent) - transactions,
            world_us=sent[-1].timestamp_us,
            done_days=self._done_days(sent[-1].timestamp_us),
        )

    def _done_days(self, world_us: int) -> float:
        return (world_us - self._spec.start_us) / DAY_US

    def _partition_of(self, key: str) -> int:
        return partition_of(key.encode(), self._position.partitions)
