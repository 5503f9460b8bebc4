"""Transactions to the integers that the kernels read: the one place that says how."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.messages import Channel
from contracts.transaction_kernel import NULL_NUMBER, NULL_SPAN
from contracts.transaction_rows import (
    AMOUNT_MINOR,
    CHANNEL,
    COUNTRY,
    EVENT_TIME,
    LATITUDE,
    LONGITUDE,
    MERCHANT_CATEGORY,
    TEXTS,
    UTC_OFFSET_MINUTES,
    EventBatch,
    EventRows,
    Text,
)
from features import layout
from features.calendar import CALENDAR_UNIT, Calendar, calendar
from features.compiled import kernel, part, prefetched_in_bunches
from features.feature import ID_FIELDS, Entity
from features.hashing import hash_all, hash_spans

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
U = np.uint64

H_CARD, H_MERCHANT, H_DEVICE, H_NETWORK, H_ID = range(5)
"""Columns of whole hashes: XXH64 as a signed integer, never 0 but where there is no identifier."""
HASHED = ("card_id", "merchant_id", "device_id", "ip_prefix", "transaction_id")
HASHED_FIELDS = np.array([TEXTS.index(field) for field in HASHED], dtype=np.int64)
HASHES = len(HASHED)
HASH_OF: Mapping[Entity, int] = {entity: HASHED.index(field) for entity, field in ID_FIELDS.items()}
"""The column of each entity's hashes."""
CHUNK = 1 << 14
"""Rows at a time, so that what is made on the way stays in the processor's cache."""

_HASH_MASK = (1 << layout.HASH_BITS) - 1
_COORDINATE_UNITS = 10_000
_CHANNELS = {
    Channel.ONLINE: layout.FLAG_ONLINE,
    Channel.CONTACTLESS: layout.FLAG_CONTACTLESS,
    Channel.ATM: layout.FLAG_ATM,
    Channel.CHIP: layout.FLAG_CHIP,
}
_BY_SECOND_LETTER = np.zeros(256, dtype=np.int64)
_BY_SECOND_LETTER[[ord(channel.value[1]) for channel in _CHANNELS]] = list(_CHANNELS.values())
_CASH = np.array(layout.CASH_CATEGORIES, dtype=np.int64)


class Columns(NamedTuple):
    """What the kernel reads of n events: arrays of n, and texts."""

    times_us: Ints
    amounts: Ints
    minutes: Ints
    latitudes: Floats
    longitudes: Floats
    offsets: Ints
    timestamps_us: Ints
    category: Text
    country: Text
    channel: Text


@dataclass(frozen=True, slots=True)
class Encoded:
    """`events` is int64 [n, EVENT_WIDTH]; `hashes` int64 [n, HASHES]."""

    events: Ints
    hashes: Ints


def encode(table: pa.Table, places: Ints, hashes: Ints, *, is_described: bool) -> Ints:
    """A table in EVENT_SCHEMA as int64 [n, EVENT_WIDTH]; row i becomes row places[i].

    `hashes` holds those of cards, and is given the others row for row. Events that are not
    described are known by card, transaction, time and amount alone.
    """
    events = np.empty((len(table), layout.EVENT_WIDTH), dtype=np.int64)
    start = 0
    for batch in table.to_batches(max_chunksize=CHUNK):
        rows = slice(start, start + len(batch))
        piece = EventBatch(batch)
        _hash(piece, hashes[rows], range(H_MERCHANT, HASHES) if is_described else (H_ID,))
        _encode_into(piece, places[rows], hashes[rows], is_described, events)
        start += len(batch)
    return events


def encoded(events: EventRows) -> Encoded:
    """Events, and the whole hashes of their identifiers."""
    found = np.empty((len(events), layout.EVENT_WIDTH), dtype=np.int64)
    hashes = np.empty((len(events), HASHES), dtype=np.int64)
    known, row, rows = calendar(), 0, events.rows
    while row < len(events):
        row = encode_batch(
            rows.text, rows.spans, rows.numbers, rows.reals, events.offsets, events.timestamps_us,
            known.is_holiday, known.is_known, row, hashes, found,
        )  # fmt: skip
        if row < len(events):
            _learn(known, found[row])
    return Encoded(found, hashes)


def hashes_of(events: EventRows) -> Ints:
    """The whole hashes alone, int64 [n, HASHES]."""
    hashes = np.empty((len(events), HASHES), dtype=np.int64)
    hash_batch(events.rows.text, events.rows.spans, hashes)
    return hashes


def _hash(events: EventBatch, hashes: Ints, wanted: Iterable[int]) -> None:
    for column in wanted:
        hash_all(events.text(HASHED[column]), hashes[:, column])


def _encode_into(
    events: EventBatch, places: Ints, hashes: Ints, is_described: bool, found: Ints
) -> None:
    columns, known, row = _columns(events), calendar(), 0
    while row < len(events):
        row = encode_rows(
            columns, hashes, places, known.is_holiday, known.is_known, row, is_described, found
        )
        if row < len(events):
            _learn(known, found[places[row]])


def _learn(known: Calendar, event: Ints) -> None:
    """The holidays that an event asks for."""
    known.learn(int(event[layout.E_COUNTRY]), int(event[layout.E_LOCAL]) // layout.DAY)


def _columns(events: EventBatch) -> Columns:
    return Columns(
        times_us=events.numbers("event_time"),
        amounts=events.numbers("amount_minor"),
        minutes=events.numbers("utc_offset_minutes"),
        latitudes=events.numbers("latitude"),
        longitudes=events.numbers("longitude"),
        offsets=events.numbers("offset"),
        timestamps_us=events.numbers("timestamp_us"),
        category=events.text("merchant_category"),
        country=events.text("country"),
        channel=events.text("channel"),
    )


@part
def short_hash(whole: np.int64) -> np.int64:
    """The part of a hash that cards remember, never 0; 0 for null."""
    value = whole & _HASH_MASK
    return np.int64(1) if value == 0 and whole != 0 else value


@part
def coded(text: Text, i: int) -> np.int64:
    """Two capitals as `calendar.country_code` numbers them; 0 for null."""
    start = text.starts[i]
    if start == NULL_SPAN:
        return np.int64(0)
    first, second = text.content[U(start)], text.content[U(start + 1)]
    return (np.int64(first) - 64) * 32 + np.int64(second) - 64


@part
def category_of(text: Text, i: int) -> np.int64:
    """Four digits as a number; 0 for null."""
    value = np.int64(0)
    for at in range(text.starts[i], text.ends[i]):
        value = value * 10 + np.int64(text.content[U(at)]) - 48
    return value


@part
def channel_flag(text: Text, i: int) -> np.int64:
    """The flag of a channel, by the second letter, which no two share; 0 for null."""
    start = text.starts[i]
    return np.int64(0) if start == NULL_SPAN else _BY_SECOND_LETTER[text.content[U(start + 1)]]


@part
def is_cash_like(category: np.int64) -> bool:
    """Whether a category turns a card into cash."""
    found = False
    for known in _CASH:
        found |= known == category
    return found


@part
def encode_times(columns: Columns, i: int, event: Ints) -> None:
    """Effective time before the card's clock limits it, and local time."""
    own_ms = columns.times_us[i] // 1000
    time = min(own_ms, columns.timestamps_us[i] // 1000 + layout.FUTURE_ALLOWANCE)
    minutes = columns.minutes[i]
    event[layout.E_TIME] = time
    event[layout.E_LOCAL] = time + (minutes != NULL_NUMBER) * minutes * layout.MINUTE


@part
def encode_place(columns: Columns, i: int, event: Ints) -> None:
    """Latitude and longitude in 1/10,000 degree; both MISSING unless both are known."""
    latitude = columns.latitudes[i] * _COORDINATE_UNITS
    longitude = columns.longitudes[i] * _COORDINATE_UNITS
    is_place = latitude == latitude and longitude == longitude
    event[layout.E_LATITUDE] = np.int64(np.rint(latitude)) if is_place else layout.MISSING
    event[layout.E_LONGITUDE] = np.int64(np.rint(longitude)) if is_place else layout.MISSING


@part
def encode_flags(columns: Columns, i: int, event: Ints) -> None:
    """Country, category and all flags but that of a holiday."""
    category, local = category_of(columns.category, i), event[layout.E_LOCAL]
    flags = channel_flag(columns.channel, i)
    flags |= layout.FLAG_CASH * is_cash_like(category)
    flags |= layout.FLAG_NIGHT * (local % layout.DAY < layout.NIGHT_HOURS * layout.HOUR)
    event[layout.E_COUNTRY], event[layout.E_CATEGORY] = coded(columns.country, i), category
    event[layout.E_FLAGS] = flags


@part
def encode_from(
    columns: Columns,
    hashes: Ints,
    places: Ints,
    is_holiday: NDArray[np.bool_],
    is_known: NDArray[np.bool_],
    row: int,
    is_described: bool,
    events: Ints,
) -> int:
    """What `encode_rows` does."""
    for i in range(row, len(hashes)):
        prefetched_in_bunches(events, places, i, 0, layout.EVENT_WIDTH - 1)
        event = events[places[i]]
        encode_times(columns, i, event)
        event[layout.E_OFFSET], event[layout.E_AMOUNT] = columns.offsets[i], columns.amounts[i]
        event[layout.E_ID] = short_hash(hashes[i, H_ID])
        if not is_described:
            for column in range(layout.E_MERCHANT, layout.E_FLAGS + 1):
                event[column] = 0
            continue
        event[layout.E_MERCHANT] = short_hash(hashes[i, H_MERCHANT])
        event[layout.E_DEVICE] = short_hash(hashes[i, H_DEVICE])
        encode_place(columns, i, event)
        encode_flags(columns, i, event)
        country, day = event[layout.E_COUNTRY], event[layout.E_LOCAL] // layout.DAY
        if country and 0 <= day < is_holiday.shape[1]:
            if not is_known[country, day // CALENDAR_UNIT]:
                return i
            event[layout.E_FLAGS] |= layout.FLAG_HOLIDAY * is_holiday[country, day]
    return len(hashes)


@kernel
def encode_rows(
    columns: Columns,
    hashes: Ints,
    places: Ints,
    is_holiday: NDArray[np.bool_],
    is_known: NDArray[np.bool_],
    row: int,
    is_described: bool,
    events: Ints,
) -> int:
    """Encode from `row` on; returns the row that needs holidays not learned yet, or their number.

    `is_holiday` is by country and day since the epoch, `is_known` by country and CALENDAR_UNIT.
    """
    return encode_from(columns, hashes, places, is_holiday, is_known, row, is_described, events)


@kernel
def hash_batch(content: Bytes, spans: Ints, hashes: Ints) -> None:
    """Hash the identifiers of events as they were read."""
    hash_spans(content, spans, HASHED_FIELDS, hashes)


@kernel
def encode_batch(
    content: Bytes,
    spans: Ints,
    numbers: Ints,
    reals: Floats,
    offsets: Ints,
    timestamps_us: Ints,
    is_holiday: NDArray[np.bool_],
    is_known: NDArray[np.bool_],
    row: int,
    hashes: Ints,
    events: Ints,
) -> int:
    """Hash and encode events as they were read, each in its own place; see `encode_rows`."""
    if row == 0:
        hash_spans(content, spans, HASHED_FIELDS, hashes)
    columns = Columns(
        numbers[:, EVENT_TIME],
        numbers[:, AMOUNT_MINOR],
        numbers[:, UTC_OFFSET_MINUTES],
        reals[:, LATITUDE],
        reals[:, LONGITUDE],
        offsets,
        timestamps_us,
        Text(content, spans[:, MERCHANT_CATEGORY, 0], spans[:, MERCHANT_CATEGORY, 1]),
        Text(content, spans[:, COUNTRY, 0], spans[:, COUNTRY, 1]),
        Text(content, spans[:, CHANNEL, 0], spans[:, CHANNEL, 1]),
    )
    places = np.arange(len(hashes))
    return encode_from(columns, hashes, places, is_holiday, is_known, row, True, events)
