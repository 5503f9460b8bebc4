"""Transactions to the integers that the kernels read: the one place that says how."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts import transaction_rows as fields
from contracts.messages import Channel
from contracts.transaction_kernel import NULL_NUMBER, NULL_SPAN
from contracts.transaction_rows import EventRows, events_of
from features import layout
from features.calendar import CALENDAR_UNIT, calendar
from features.compiled import kernel, part
from features.hashing import xxh64

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
U = np.uint64

H_CARD, H_MERCHANT, H_DEVICE, H_NETWORK = range(4)
"""Columns of whole hashes: XXH64 as a signed integer, never 0 but where there is no identifier."""
HASHES = 4
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


@dataclass(frozen=True, slots=True)
class Encoded:
    """`events` is int64 [n, EVENT_WIDTH]; `hashes` int64 [n, HASHES]."""

    events: Ints
    hashes: Ints


def encode(table: pa.Table) -> Ints:
    """A table in EVENT_SCHEMA as int64 [n, EVENT_WIDTH]; row i stays row i."""
    events = np.empty((len(table), layout.EVENT_WIDTH), dtype=np.int64)
    hashes = np.empty((min(len(table), CHUNK), HASHES), dtype=np.int64)
    for start in range(0, len(table), CHUNK):
        rows = events[start : start + CHUNK]
        _encode_into(events_of(table.slice(start, CHUNK)), rows, hashes)
    return events


def encoded(events: EventRows) -> Encoded:
    """Events, and the whole hashes of their card, merchant, device and network."""
    found = np.empty((len(events), layout.EVENT_WIDTH), dtype=np.int64)
    hashes = np.empty((len(events), HASHES), dtype=np.int64)
    _encode_into(events, found, hashes)
    return Encoded(found, hashes)


def _encode_into(events: EventRows, found: Ints, hashes: Ints) -> None:
    rows, known, row = events.rows, calendar(), 0
    while row < len(events):
        row = encode_rows(
            rows.text, rows.spans, rows.numbers, rows.reals, events.timestamps_us, events.offsets,
            known.is_holiday, known.is_known, row, found, hashes,
        )  # fmt: skip
        if row < len(events):
            known.learn(
                int(found[row, layout.E_COUNTRY]), int(found[row, layout.E_LOCAL]) // layout.DAY
            )


@part
def whole_hash(text: Bytes, spans: NDArray[np.int64], i: int, field: int) -> np.int64:
    """XXH64 of an identifier as a signed integer, never 0; 0 for null."""
    if spans[i, field, 0] == NULL_SPAN:
        return np.int64(0)
    value = np.int64(xxh64(text, spans[i, field, 0], spans[i, field, 1]))
    return value if value != 0 else np.int64(1)


@part
def short_hash(whole: np.int64) -> np.int64:
    """The part of a hash that cards remember, never 0; 0 for null."""
    value = whole & _HASH_MASK
    return np.int64(1) if value == 0 and whole != 0 else value


@part
def coded(text: Bytes, start: int) -> np.int64:
    """Two capitals as `calendar.country_code` numbers them; 0 for null."""
    if start == NULL_SPAN:
        return np.int64(0)
    return (np.int64(text[U(start)]) - 64) * 32 + np.int64(text[U(start + 1)]) - 64


@part
def category_of(text: Bytes, start: int, end: int) -> np.int64:
    """Four digits as a number; 0 for null."""
    value = np.int64(0)
    for at in range(start, end):
        value = value * 10 + np.int64(text[U(at)]) - 48
    return value


@part
def channel_flag(text: Bytes, start: int) -> np.int64:
    """The flag of a channel, by the second letter, which no two share; 0 for null."""
    return np.int64(0) if start == NULL_SPAN else _BY_SECOND_LETTER[text[U(start + 1)]]


@part
def is_cash_like(category: np.int64) -> bool:
    """Whether a category turns a card into cash."""
    found = False
    for known in _CASH:
        found |= known == category
    return found


@part
def encode_times(numbers: Ints, timestamps_us: Ints, i: int, events: Ints) -> None:
    """Effective time before the card's clock limits it, and local time."""
    own_ms = numbers[i, fields.EVENT_TIME] // 1000
    time = min(own_ms, timestamps_us[i] // 1000 + layout.FUTURE_ALLOWANCE)
    minutes = numbers[i, fields.UTC_OFFSET_MINUTES]
    events[i, layout.E_TIME] = time
    events[i, layout.E_LOCAL] = time + (minutes != NULL_NUMBER) * minutes * layout.MINUTE


@part
def encode_place(reals: Floats, i: int, events: Ints) -> None:
    """Latitude and longitude in 1/10,000 degree; both MISSING unless both are known."""
    latitude, longitude = reals[i, 0] * _COORDINATE_UNITS, reals[i, 1] * _COORDINATE_UNITS
    is_place = latitude == latitude and longitude == longitude
    events[i, layout.E_LATITUDE] = np.int64(np.rint(latitude)) if is_place else layout.MISSING
    events[i, layout.E_LONGITUDE] = np.int64(np.rint(longitude)) if is_place else layout.MISSING


@part
def encode_names(text: Bytes, spans: NDArray[np.int64], i: int, events: Ints, hashes: Ints) -> None:
    """Hashes of identifiers: whole ones, and what cards remember of them."""
    start, end = spans[i, fields.CARD_ID, 0], spans[i, fields.CARD_ID, 1]
    merchant = whole_hash(text, spans, i, fields.MERCHANT_ID)
    device = whole_hash(text, spans, i, fields.DEVICE_ID)
    hashes[i, H_CARD] = np.int64(xxh64(text, start, end))
    hashes[i, H_MERCHANT], hashes[i, H_DEVICE] = merchant, device
    hashes[i, H_NETWORK] = whole_hash(text, spans, i, fields.IP_PREFIX)
    events[i, layout.E_ID] = short_hash(whole_hash(text, spans, i, fields.TRANSACTION_ID))
    events[i, layout.E_MERCHANT], events[i, layout.E_DEVICE] = (
        short_hash(merchant),
        short_hash(device),
    )


@kernel
def encode_rows(
    text: Bytes,
    spans: NDArray[np.int64],
    numbers: Ints,
    reals: Floats,
    timestamps_us: Ints,
    offsets: Ints,
    is_holiday: NDArray[np.bool_],
    is_known: NDArray[np.bool_],
    row: int,
    events: Ints,
    hashes: Ints,
) -> int:
    """Encode from `row` on; returns the row that needs holidays not learned yet, or their number.

    `is_holiday` is by country and day since the epoch, `is_known` by country and CALENDAR_UNIT.
    """
    for i in range(row, len(numbers)):
        events[i, layout.E_OFFSET] = offsets[i]
        events[i, layout.E_AMOUNT] = numbers[i, fields.AMOUNT_MINOR]
        encode_times(numbers, timestamps_us, i, events)
        encode_place(reals, i, events)
        encode_names(text, spans, i, events, hashes)
        country = coded(text, spans[i, fields.COUNTRY, 0])
        start, end = spans[i, fields.MERCHANT_CATEGORY, 0], spans[i, fields.MERCHANT_CATEGORY, 1]
        category = category_of(text, start, end)
        local = events[i, layout.E_LOCAL]
        flags = channel_flag(text, spans[i, fields.CHANNEL, 0])
        flags |= layout.FLAG_CASH * is_cash_like(category)
        flags |= layout.FLAG_NIGHT * (local % layout.DAY < layout.NIGHT_HOURS * layout.HOUR)
        day = local // layout.DAY
        events[i, layout.E_COUNTRY], events[i, layout.E_CATEGORY] = country, category
        if country and 0 <= day < is_holiday.shape[1]:
            if not is_known[country, day // CALENDAR_UNIT]:
                return i
            flags |= layout.FLAG_HOLIDAY * is_holiday[country, day]
        events[i, layout.E_FLAGS] = flags
    return len(numbers)
