"""A frontier that stalls is noticed, one that comes on is not; both are on the metrics page."""

import itertools
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pyarrow as pa
import pytest
from features_events import DAY, HOUR, MINUTE, START_US

from contracts.columns import EVENT_SCHEMA
from contracts.metrics_page import served_page
from features.frontier_watch import FrontierWatch
from features.tile_fold import EVENTS, LABELS, Partition, Place, TileFolder
from features.tile_metrics import TileCollector
from features.tile_service import Arrived, TileService
from features.tile_sign import Stall, TileSign
from features.tile_store import MemoryTileStore, TileStore

WAIT_SECONDS = 10.0
START = START_US // 1000
"""Midnight, milliseconds."""


def records(partition: int, *minutes: float, first: int = 0) -> pa.Table:
    """Transactions of a partition so many minutes after the start."""
    rows = [
        {
            "partition": partition,
            "offset": first + number,
            "timestamp_us": START_US + round(at * 60_000_000),
            "event_time": START_US + round(at * 60_000_000),
            "schema_version": 1,
            "transaction_id": f"t{partition}-{first + number}",
            "card_id": "c",
            "merchant_id": "m",
            "amount_minor": 100,
        }
        for number, at in enumerate(minutes)
    ]
    return pa.Table.from_pylist(rows, schema=EVENT_SCHEMA)


class Rig:
    """Two partitions of transactions and one of labels, watched with a clock of the test's own."""

    def __init__(self) -> None:
        places = {(EVENTS, 0): Place(), (EVENTS, 1): Place(), (LABELS, 0): Place()}
        self.folder = TileFolder(places, {EVENTS: 0, LABELS: 0})
        self.now = 0.0
        self.unread: dict[Partition, int] = {}
        self.watch = FrontierWatch(self.ends, WAIT_SECONDS, lambda: self.now)
        self.folder.promise((LABELS, 0), 0, START + DAY)
        for number in (0, 1):
            self.folder.events(number, records(number, 0.0), 1)

        self.watch.look(self.folder)

    def ends(self) -> dict[Partition, int]:
        """What has been read, and what each partition holds beyond."""
        places = self.folder.places
        return {key: place.offset + self.unread.get(key, 0) for key, place in places.items()}

    def later(self, seconds: float) -> Stall | None:
        """Look again after some seconds."""
        self.now += seconds
        return self.watch.look(self.folder)


def test_a_partition_that_holds_the_others_back_is_named() -> None:
    """Partition 1 stays at the start while 0 needs minute 9: after the wait that is a stall."""
    rig = Rig()
    rig.folder.events(0, records(0, 10.5, first=1), 2)
    assert rig.later(0) is None
    assert rig.later(WAIT_SECONDS - 0.1) is None
    assert rig.later(0.1) == Stall(EVENTS, 1, START, 9 * MINUTE)


def test_the_stall_is_over_when_the_frontier_is_far_enough() -> None:
    """A promise for the idle partition ends it; so does a record."""
    rig = Rig()
    rig.folder.events(0, records(0, 10.5, first=1), 2)
    rig.later(0)
    assert rig.later(WAIT_SECONDS) is not None
    rig.folder.promise((EVENTS, 1), 1, START + 9 * MINUTE)
    assert rig.later(1) is None
    rig.folder.events(0, records(0, 12.5, first=2), 3)
    assert [rig.later(8) is None for _ in range(3)] == [True, True, False]


def test_a_frontier_that_moves_but_is_always_late_stalls() -> None:
    """Partition 1 is stamped five minutes before partition 0: every transaction of that waits."""
    rig = Rig()
    found = []
    for turn in range(1, 14):
        for number, minutes in ((0, turn + 6.0), (1, turn + 1.0)):
            rig.folder.events(number, records(number, minutes, first=turn), turn + 1)
        found.append(rig.later(1))
    assert found[:10] == [None] * 10
    assert [stall.partition for stall in found[10:] if stall] == [1, 1, 1]


def test_a_quiet_topic_does_not_stall() -> None:
    """Nobody needs a frontier beyond a minute behind the newest record."""
    rig = Rig()
    rig.folder.events(0, records(0, 0.9, first=1), 2)
    assert [rig.later(100) for _ in range(3)] == [None] * 3


def test_who_is_catching_up_does_not_stall() -> None:
    """While the partition that holds the frontier has records unread, they will move it."""
    rig = Rig()
    rig.unread[EVENTS, 1] = 1
    rig.folder.events(0, records(0, 500, first=1), 2)
    assert [rig.later(8) for _ in range(4)] == [None] * 4
    rig.unread.clear()
    assert [rig.later(8) is None for _ in range(4)] == [True, True, True, False]


def test_a_stall_is_seen_beside_busy_partitions() -> None:
    """However much the others are given to read, and however far they have read it."""
    rig = Rig()
    rig.unread[EVENTS, 0] = 60_000
    found = []
    for turn in range(1, 13):
        many = [turn + 3 + step / 6_000 for step in range(6_000)]
        rig.folder.events(0, records(0, *many, first=turn * 6_000), (turn + 1) * 6_000)
        found.append(rig.later(1))
    assert found[:10] == [None] * 10
    assert [stall.partition for stall in found[10:] if stall] == [1, 1]


def test_labels_stall_at_the_days_end() -> None:
    """An hour into the next day every label partition must have passed midnight."""
    rig = Rig()
    day = 24 * 60.0
    for number in (0, 1):
        rig.folder.events(number, records(number, day + 59, day * 2 + 190, first=1), 3)
    rig.later(0)
    assert rig.later(WAIT_SECONDS) == Stall(LABELS, 0, START + DAY, DAY)


class LateSource:
    """A promise for two hours on, and then a record from before it."""

    def __init__(self) -> None:
        self.turn = 0
        self.sought: Mapping[Partition, int] = {}

    def partitions(self) -> Sequence[Partition]:
        """One of each kind."""
        return [(EVENTS, 0), (LABELS, 0)]

    def seek(self, offsets: Mapping[Partition, int]) -> None:
        """All is read again, the promise as well."""
        self.turn, self.sought = 0, offsets

    def poll(self) -> Sequence[Arrived]:
        """A record in time, nothing, then two of which one is late."""
        self.turn += 1
        chunks = {1: (records(0, 1.0), 1), 3: (records(0, 30.0, 180.0, first=1), 3)}
        if self.turn not in chunks:
            return []
        return [Arrived((EVENTS, 0), *chunks[self.turn])]

    def promises(self) -> Sequence[tuple[Partition, int, int]]:
        """The promise, at the second turn."""
        return [((EVENTS, 0), 1, START + 2 * HOUR)] if self.turn == 2 else []

    def idle_ends(self) -> Mapping[Partition, int] | None:
        """Not live."""
        return None


def late_service(store: TileStore) -> TileService:
    """A new process over a store, after all that its source has to give."""
    service = TileService(store, LateSource(), clock=itertools.count().__next__, wall_ms=lambda: 0)
    service.start()
    for _ in range(3):
        service.step()
    return service


def test_broken_promises_are_on_the_metrics_page() -> None:
    """What the service counted is what a scraper reads."""
    service = late_service(MemoryTileStore())
    with (
        served_page(0, TileCollector(service, lambda: TileSign(0, 0, 0))) as port,
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page,
    ):
        text = page.read().decode()
    assert "fraud_broken_promises_total 1.0" in text
    assert "fraud_frontier_stalled 0.0" in text


def test_broken_promises_are_counted_once() -> None:
    """A restart knows of those before it, and does not count them again as it folds them again."""
    store, source = MemoryTileStore(), LateSource()
    late_service(store)
    again = TileService(store, source, clock=itertools.count().__next__, wall_ms=lambda: 0)
    again.start()
    assert again.broken_promises == 1
    assert source.sought[EVENTS, 0] == 0
    for _ in range(3):
        again.step()
    again.start()
    assert again.broken_promises == 1


def test_a_broken_promise_is_kept_before_the_minute_is_over() -> None:
    """No minute passes after it in which the count could be written with the tiles."""
    store = MemoryTileStore()
    service = TileService(store, LateSource(), clock=lambda: 0.0, wall_ms=lambda: 0)
    service.start()
    for _ in range(3):
        service.step()
    service.manifest = replace(service.manifest, transactions_ms=service.folder.frontier(EVENTS))
    store.mark(service.manifest)
    service.write()
    written = store.manifest()
    assert written is not None
    assert written.broken_promises == 1


def test_frontiers_and_stalls_are_on_the_metrics_page() -> None:
    """A gauge per partition, in seconds, and one that says whether somebody is held up."""
    rig = Rig()
    sign = TileSign(0, 0, 0, Stall(EVENTS, 1, START, 60_000))
    metrics = {m.name: m.samples for m in TileCollector(Folded(rig.folder), lambda: sign).collect()}
    assert [s.value for s in metrics["fraud_frontier_stalled"]] == [1.0]
    frontiers = {
        (s.labels["topic"], s.labels["partition"]): s.value
        for s in metrics["fraud_frontier_timestamp_seconds"]
    }
    assert frontiers[(EVENTS, "1")] == START / 1000
    assert frontiers[(LABELS, "0")] == (START + DAY) / 1000


class Folded:
    """A service that stands still."""

    broken_promises = 0

    def __init__(self, folder: TileFolder) -> None:
        self.folder = folder


@pytest.mark.parametrize(
    "body", [b"123 0", b"", b"[]", b"7", b"{}", b'{"stall":{}}', b'{"stall":null,"other":1}']
)
def test_a_sign_of_another_version_is_none(body: bytes) -> None:
    """What cannot be read is taken for no sign, and a sign is read as it was written."""
    assert TileSign.from_json(body) is None
    sign = TileSign(1, 2, 3, Stall(EVENTS, 1, START, 60_000))
    assert TileSign.from_json(sign.to_json()) == sign
