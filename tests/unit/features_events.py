"""Events for feature tests: few identifiers and times near the edges, so that rules collide."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from hypothesis import Phase, settings
from hypothesis import strategies as st

from contracts.columns import EVENT_SCHEMA, SOURCE_SCHEMA
from contracts.wire import LABEL_SCHEMA

PARITY = settings(deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
"""No shrinking: an example has at most 30 events, and shrinking them takes minutes."""

START_US = 1_767_225_600_000_000  # 2026-01-01, a Thursday and a holiday
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
"""Milliseconds."""

EDGES = (0, 10 * MINUTE, HOUR, DAY, 7 * DAY, 30 * DAY)
STEPS = st.one_of(
    st.builds(lambda edge, off: max(edge + off, 0), st.sampled_from(EDGES), st.integers(-1, 1)),
    st.integers(0, 3 * DAY),
    st.integers(0, 45 * DAY),
)
OWN_SHIFTS = st.one_of(
    st.sampled_from((0, 0, 0, MINUTE, MINUTE + 1, -DAY, -DAY - 1, -HOUR, 70 * 365 * DAY)),
    st.integers(-3 * DAY, 2 * MINUTE),
)
AMOUNTS = st.one_of(
    st.integers(-2000, 20_000),
    st.sampled_from((0, 499, 500, 1000, 50_000_001, -50_000_001, 10**12, -(10**12))),
)


def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The value, or sometimes none."""
    return st.one_of(strategy, strategy, st.none())


FIELDS: Mapping[str, st.SearchStrategy[Any]] = {
    "transaction_id": st.sampled_from([f"t{i}" for i in range(30)]),
    "merchant_id": st.sampled_from(["m1", "m2", "m3", "m4"]),
    "amount_minor": AMOUNTS,
    "merchant_category": optional(st.sampled_from(["5411", "6011", "7995", "0000"])),
    "utc_offset_minutes": optional(st.sampled_from([0, 60, -300, 840, -840])),
    "country": optional(st.sampled_from(["DE", "FR", "US", "ZZ"])),
    "latitude": optional(st.sampled_from([52.5, 48.85, -90.0, 90.0, 0.00004])),
    "longitude": optional(st.sampled_from([13.4, 2.35, 180.0, -180.0])),
    "channel": optional(st.sampled_from(["chip", "contactless", "online", "atm"])),
    "device_id": optional(st.sampled_from(["d1", "d2", "d3"])),
    "ip_prefix": optional(st.sampled_from(["10.0.0", "10.0.1"])),
}


@st.composite
def event_tables(
    draw: st.DrawFn, *, cards: int = 2, partitions: int = 1, size: int = 30
) -> pa.Table:
    """Up to `size` events in EVENT_SCHEMA; card i lives in partition i mod `partitions`."""
    clock_ms = START_US // 1000
    offsets = dict.fromkeys(range(partitions), 0)
    rows = []
    for _ in range(draw(st.integers(0, size))):
        clock_ms += draw(STEPS)
        card = draw(st.integers(0, cards - 1))
        row = draw(st.fixed_dictionaries(dict(FIELDS)))
        partition = card % partitions
        offsets[partition] += draw(st.integers(1, 2))  # Kafka's offsets may have gaps
        rows.append(row | placed(card, partition, offsets[partition], clock_ms, draw(OWN_SHIFTS)))
    return pa.Table.from_pylist(rows, schema=EVENT_SCHEMA)


LABEL_PLACES = pa.schema([*SOURCE_SCHEMA, *LABEL_SCHEMA])


@st.composite
def label_tables(draw: st.DrawFn, events: pa.Table, *, partitions: int = 2) -> pa.Table:
    """Labels of some of the events, in offset order: late, repeated, corrected, out of order."""
    rows: list[dict[str, Any]] = []
    clock_ms = START_US // 1000
    for offset in range(draw(st.integers(0, 12)) if len(events) else 0):
        clock_ms += draw(STEPS)
        event = events.slice(draw(st.integers(0, len(events) - 1)), 1).to_pylist()[0]
        told_ms = clock_ms - draw(st.sampled_from([0, 0, HOUR, 3 * DAY]))
        rows.append(
            {
                "partition": hash_of(event["transaction_id"]) % partitions,
                "offset": offset,
                "timestamp_us": clock_ms * 1000,
                "is_fraud": draw(st.booleans()),
                "label_time": told_ms * 1000,
                "source": "chargeback",
            }
            | {name: event[name] for name in ("transaction_id", "card_id", "merchant_id")}
            | {"event_time": event["event_time"]}
        )
    return pa.Table.from_pylist(rows, schema=LABEL_PLACES)


def hash_of(text: str) -> int:
    """The same in every process."""
    return sum(text.encode())


def placed(card: int, partition: int, offset: int, clock_ms: int, shift_ms: int) -> dict[str, Any]:
    """The fields that say where and when a record stands."""
    return {
        "partition": partition,
        "offset": offset,
        "timestamp_us": clock_ms * 1000,
        "schema_version": 1,
        "event_time": min((clock_ms + shift_ms) * 1000 + 7, 4_102_444_799_999_999),
        "card_id": f"card-{card}",
        "currency": "EUR",
    }
