"""Sending: bounded buffering, counted delivery reports, a deadline when the broker is away."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

from confluent_kafka import KafkaError

from contracts.errors import BrokerError
from contracts.kafka import make_producer
from contracts.settings import KafkaSettings
from producer.promises import Promises, open_promises
from producer.records import Record

QUEUE_RECORDS = 50_000
"""At most this many records wait in memory for the broker."""
BULK_LINGER_MS = 50
"""A backfill's batches may wait this long: fewer and larger ones cost client and broker less."""
LIVE_LINGER_MS = 5
_POLL_EVERY = 500
_PURGE_SECONDS = 1.0


Headers = list[tuple[str, str | bytes | None]]
Report = Callable[[KafkaError | None, Any], None]


class Client(Protocol):
    """The part of a confluent-kafka `Producer` that is used here."""

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
        """Queue a record; BufferError when the queue is full."""

    def poll(self, timeout: float) -> int:
        """Serve delivery reports."""

    def purge(self) -> None:
        """Drop what is queued or in flight."""

    def __len__(self) -> int:
        """Records queued or in flight."""


@dataclass(slots=True)
class _Flight:
    """Records queued together: their earliest time and stamp, and how many have not arrived."""

    time_us: int
    stamp_us: int
    left: int


class Publisher:
    """Sends records in order and knows how many have arrived."""

    def __init__(
        self,
        client: Client,
        *,
        stall_seconds: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        wall_us: Callable[[], int] = lambda: time.time_ns() // 1000,
        promises: Promises | None = None,
    ) -> None:
        self.sent = 0
        self.delivered = 0
        self._client = client
        self._stall_seconds = stall_seconds
        self._clock = clock
        self._wall_us = wall_us
        self._promises = promises
        self._moved_at = clock()
        self._failure: str | None = None
        self._first_lost_us: int | None = None
        self._flights: deque[_Flight] = deque()

    def send(self, record: Record) -> None:
        """Queue one record; waits and raises as `send_all` does."""
        self.send_all([record])

    def send_all(self, records: Sequence[Record]) -> None:
        """Queue records in order, waiting while the buffer is full.

        Raises:
            BrokerError: nothing was delivered for `stall_seconds`, or the broker refused a record.
        """
        if len(self._client) == 0:
            self._moved_at = self._clock()
        for start in range(0, len(records), _POLL_EVERY):
            stamp: Headers = [("sent_us", str(self._wall_us()))]
            some = records[start : start + _POLL_EVERY]
            # One for them all: a callable made for each record slows the client down much.
            told = partial(self._on_delivery, self._opened(some))
            for record in some:
                while not self._try(record, stamp, told):
                    self.serve(0.1)
                self.sent += 1
            self.serve()

    def promise(self, until_us: int, *, is_last: bool = False) -> None:
        """Say that no later transaction or label will be stamped before `until_us`.

        Or before the earliest that is still on its way, and not too often; `is_last` insists.
        """
        if self._promises is None:
            return
        self.serve()
        under_way = (flight.stamp_us for flight in self._flights if flight.left > 0)
        sure_us = min([until_us, *under_way])
        record = self._promises.made(sure_us, self._wall_us(), is_last=is_last)
        if record is not None:
            flight = _Flight(until_us, until_us, 1)  # holds no other promise up: not listed
            self._try(record, [], partial(self._on_delivery, flight))

    def serve(self, seconds: float = 0.0) -> None:
        """Take delivery reports for up to `seconds`; raises as `send_all` does."""
        before = self.delivered
        self._client.poll(seconds)
        if self.delivered != before:
            self._moved_at = self._clock()
        self._check()

    def flush(self) -> None:
        """Wait until everything sent has arrived; raises as `send_all` does."""
        while len(self._client) > 0:
            self.serve(0.1)
        self.serve()

    def _try(self, record: Record, stamp: Headers, told: Report) -> bool:
        headers = stamp if record.is_transaction else []
        if record.headers or record.mark:
            mark: Headers = [("import", record.mark)] if record.mark else []
            headers = [*record.headers, *headers, *mark]
        try:
            self._client.produce(
                record.topic,
                key=record.key,
                value=record.value,
                timestamp=self._stamped(record),
                on_delivery=told,
                headers=headers,
            )
        except BufferError:
            return False
        return True

    def _opened(self, records: Sequence[Record]) -> _Flight:
        time_us = min(record.timestamp_us for record in records)
        stamp_us = min(self._stamped(record) for record in records) * 1000
        flight = _Flight(time_us, stamp_us, len(records))
        while self._flights and self._flights[0].left == 0:
            self._flights.popleft()
        self._flights.append(flight)
        return flight

    def _stamped(self, record: Record) -> int:
        promises = self._promises
        return record.timestamp_us // 1000 if promises is None else promises.stamped(record)

    def _on_delivery(self, flight: _Flight, error: KafkaError | None, message: object) -> None:
        """A report about one of these records."""
        if error is None:
            self.delivered += 1
            flight.left -= 1
            if self._promises is not None:
                self._promises.delivered(message)
            return
        self._failure = self._failure or error.str()
        is_first = self._first_lost_us is None or flight.time_us < self._first_lost_us
        self._first_lost_us = flight.time_us if is_first else self._first_lost_us

    def _check(self) -> None:
        stalled = len(self._client) > 0 and self._clock() - self._moved_at > self._stall_seconds
        if stalled:
            raise self._stopped(f"Kafka took nothing for {self._stall_seconds:.0f} s")
        if self._failure is not None:
            raise self._stopped(f"Kafka refused a record: {self._failure}")

    def _stopped(self, cause: str) -> BrokerError:
        """Drop what waits; the error tells up to which record time everything has arrived."""
        self._client.purge()
        self._client.poll(_PURGE_SECONDS)
        return BrokerError(
            cause,
            value=f"{self.delivered:,} of {self.sent:,} records delivered, all of those before "
            f"{_time(self._first_lost_us)}",
            remedy="Check the broker with `fraud status`, then run the command again: it "
            "continues from there",
        )


def _time(record_us: int | None) -> str:
    if record_us is None:
        return "the first"
    return datetime.fromtimestamp(record_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def open_publisher(
    kafka: KafkaSettings,
    *,
    stall_seconds: float = 60.0,
    linger_ms: int = LIVE_LINGER_MS,
    promising: bool = True,
) -> Publisher:
    """A publisher for the settings' broker; of several on a topic only one may be promising."""
    promises = open_promises(kafka) if promising else None
    client = open_client(kafka, linger_ms)
    return Publisher(client, stall_seconds=stall_seconds, promises=promises)


def open_client(kafka: KafkaSettings, linger_ms: int = LIVE_LINGER_MS) -> Client:
    """An idempotent client with a bounded buffer.

    Records never time out one by one: that could leave a gap before a later one that arrives. The
    publisher's own deadline stops all of them at once.
    """
    return make_producer(
        kafka,
        **{
            "message.timeout.ms": 0,
            "linger.ms": linger_ms,
            "queue.buffering.max.messages": QUEUE_RECORDS,
            "queue.buffering.max.kbytes": 65_536,
            "batch.num.messages": 10_000,
        },
    )


class Stop(Protocol):
    """Tells a long run that somebody wants it to end."""

    def is_set(self) -> bool:
        """Whether to end now."""

    def wait(self, timeout: float) -> bool:
        """Sleep for `timeout` seconds or until told to end; whether to end."""


def new_stop() -> threading.Event:
    """A stop that a signal handler may set."""
    return threading.Event()
