"""A card's remembered events as bytes: the old ones little more than hashes, all in columns.

An event is *old* when no window of a later event can reach it, wherever that is placed: then only
its hour counts, its identifier (duplicates), and the merchant, device, country and category that
the card would else be thought not to have met. Those are left out, too, when a later event has the
same and is so far back that every event to come is placed behind it: nothing can see one without
the other, and the earlier one is forgotten first.
"""

import numpy as np

from features import layout
from features.bit_columns import SLACK, bits_of, get_bits, get_column, put_bits, put_column
from features.compiled import kernel, part
from features.packing import (
    Bytes,
    Integer,
    Ints,
    U,
    get_signed,
    get_varint,
    put_signed,
    put_varint,
)

OLD_AGE = layout.LONGEST_WINDOW + layout.LATENESS
PLACE_AGE = layout.PLACE_MEMORY + layout.LATENESS
"""Behind the clock; places further back are never looked at."""

NOTHING = 0
"""The merchant, device, country or category of an old event when it is left out, or missing."""
VALUE_BITS = (layout.HASH_BITS, layout.HASH_BITS, 10, 14)
"""Of merchants, devices, countries and categories."""
FLAG_BITS = 3

EVENT_BYTES, OTHER_BYTES = 64, 256 + SLACK
"""More than any event takes, and everything beside the events."""

X_NUMBERS, X_VALUES, X_POSITIONS, X_TABLE = range(4)
"""Rows of the room to work in."""
TABLE = 2_048
"""Slots of a table of values, far more than there are events, and a number of the table's own."""
SCRATCH = (4, TABLE + 1)
"""Shape of the room to work in; it begins as zeros and is never cleared."""


@kernel
def first_after(memory: Ints, start: int, end: int, edge: Integer) -> int:
    """Position of the first event in [start, end) that is later than `edge`."""
    earlier = 0
    for j in range(U(start), U(end)):
        earlier += memory[layout.M_TIME, j] <= edge
    return start + earlier


@part
def put_times(
    data: Bytes, at: int, memory: Ints, start: int, end: int, unit: int, steps: Ints
) -> int:
    """Write times in [start, end) in whole `unit`s: the first one, then steps."""
    if start >= end:
        return at
    before = memory[layout.M_TIME, U(start)] // unit
    at = put_signed(data, at, before)
    for j in range(U(start + 1), U(end)):
        now = memory[layout.M_TIME, j] // unit
        steps[j - U(start + 1)] = now - before
        before = now
    return put_column(data, at, steps, 0, end - start - 1)


@part
def get_times(data: Bytes, at: int, memory: Ints, start: int, end: int, unit: int) -> int:
    """Read what `put_times` wrote."""
    if start >= end:
        return at
    first, at = get_signed(data, at)
    times = memory[layout.M_TIME]
    at = get_column(data, at, times, start + 1, end)
    times[U(start)] = first * unit
    for j in range(U(start + 1), U(end)):
        times[j] = times[j - U(1)] + times[j] * unit
    return at


@kernel
def put_places(data: Bytes, at: int, row: Ints, start: int, end: int, numbers: Ints) -> int:
    """Write coordinates in [start, end) as what they are above the smallest, less 1; 0 is none."""
    smallest = np.int64(layout.NEVER)
    for j in range(U(start), U(end)):
        if row[j] != layout.MISSING:
            smallest = min(smallest, row[j])
    if smallest == layout.NEVER:
        smallest = np.int64(0)
    for j in range(U(start), U(end)):
        known = row[j] != layout.MISSING
        numbers[j - U(start)] = row[j] - smallest + 1 if known else 0
    return put_column(data, put_signed(data, at, smallest), numbers, 0, end - start)


@kernel
def get_places(data: Bytes, at: int, row: Ints, start: int, end: int) -> int:
    """Read what `put_places` wrote."""
    smallest, at = get_signed(data, at)
    at = get_column(data, at, row, start, end)
    for j in range(U(start), U(end)):
        row[j] = row[j] + smallest - 1 if row[j] > 0 else layout.MISSING
    return at


@kernel
def slot_of(table: Ints, values: Ints, value: Integer) -> np.uint64:
    """Where the table says which of `values` this one is, or may say it.

    A table's entries are its own number, a multiple of its size, and the value's: what tables
    before it left behind is smaller.
    """
    own, slot = table[TABLE], U(value) % U(TABLE)
    while table[slot] >= own and values[U(table[slot] - own)] != value:
        slot = (slot + U(1)) % U(TABLE)
    return slot


@kernel
def put_values(
    data: Bytes,
    at: int,
    row: Ints,
    spans: tuple[int, int, int, int],
    width: int,
    scratch: Ints,
) -> int:
    """Write a row of merchants, devices, countries or categories.

    `spans`: the first event, the first that is not old, the first of those that an event to come
    may be placed before, and the end. Bytes: the distinct values, then which of them each event has
    that is not old, then the values that are kept of old ones, and where.
    """
    start, recent, settled, end = spans
    numbers, values = scratch[X_NUMBERS], scratch[X_VALUES]
    positions, table = scratch[X_POSITIONS], scratch[X_TABLE]
    table[TABLE] += TABLE
    own = table[TABLE]
    count, covering = 0, 0
    for j in range(recent, end):
        slot = slot_of(table, values, row[U(j)])
        if table[slot] < own:
            table[slot] = own + count
            values[U(count)] = row[U(j)]
            count += 1
        numbers[U(j - recent)] = table[slot] - own
        if j < settled:
            covering = count
    kept = count
    for j in range(recent - 1, start - 1, -1):
        if row[U(j)] == NOTHING:
            continue
        slot = slot_of(table, values, row[U(j)])
        if table[slot] < own or covering <= table[slot] - own < count:
            table[slot] = own + kept
            values[U(kept)] = row[U(j)]
            positions[U(kept - count)] = j - start
            kept += 1
    at = put_varint(data, put_varint(data, at, count), kept - count)
    at = put_bits(data, at, values, 0, kept, 0, width)
    at = put_bits(data, at, numbers, 0, end - recent, 0, bits_of(max(count - 1, 0)))
    return put_bits(data, at, positions, 0, kept - count, 0, bits_of(recent - start))


@kernel
def get_values(
    data: Bytes, at: int, row: Ints, recent: int, end: int, width: int, scratch: Ints
) -> tuple[int, int]:
    """Read what `put_values` wrote; the number of distinct values beside the next position.

    Which of them each event has that is not old is left in the room to work in.
    """
    numbers, values = scratch[X_NUMBERS], scratch[X_VALUES]
    positions = scratch[X_POSITIONS]
    counted, at = get_varint(data, at)
    more, at = get_varint(data, at)
    count, kept = int(counted), int(more)
    at = get_bits(data, at, values, 0, count + kept, 0, width)
    at = get_bits(data, at, numbers, 0, end - recent, 0, bits_of(max(count - 1, 0)))
    at = get_bits(data, at, positions, 0, kept, 0, bits_of(recent))
    for j in range(U(recent)):
        row[j] = NOTHING
    for k in range(U(kept)):
        row[U(positions[k])] = values[U(count) + k]
    for j in range(U(end - recent)):
        row[U(recent) + j] = values[U(numbers[j])]
    return at, count


@kernel
def link(following: Ints, recent: int, end: int, count: int, scratch: Ints) -> None:
    """For each event that is not old, the next one with the same value."""
    numbers, last = scratch[X_NUMBERS], scratch[X_VALUES]
    for k in range(U(count)):
        last[k] = end  # one more place is there, that nobody reads
    for j in range(U(end)):
        following[j] = layout.NEVER
    for j in range(U(recent), U(end)):
        number = U(numbers[j - U(recent)])
        following[U(last[number])] = j
        last[number] = j


@kernel
def put_memory(data: Bytes, at: int, memory: Ints, start: int, end: int, scratch: Ints) -> int:
    """Write the remembered events in [start, end)."""
    clock = memory[layout.M_TIME, U(end - 1)] if end > start else np.int64(0)
    recent = first_after(memory, start, end, clock - OLD_AGE)
    placed = first_after(memory, recent, end, clock - PLACE_AGE)
    settled = first_after(memory, recent, end, clock - layout.LATENESS)
    at = put_varint(data, put_varint(data, at, end - start), recent - start)
    at = put_bits(data, at, memory[layout.M_ID], start, end, 0, layout.HASH_BITS)
    at = put_times(data, at, memory, start, recent, layout.HOUR, scratch[X_NUMBERS])
    at = put_times(data, at, memory, recent, end, 1, scratch[X_NUMBERS])
    at = put_column(data, at, memory[layout.M_AMOUNT], recent, end)
    at = put_bits(data, at, memory[layout.M_FLAGS], recent, end, 0, FLAG_BITS)
    for row in range(layout.M_LATITUDE, layout.M_LONGITUDE + 1):
        at = put_places(data, at, memory[row], placed, end, scratch[X_NUMBERS])
    spans = (start, recent, settled, end)
    for row in range(layout.M_MERCHANT, layout.M_CATEGORY + 1):
        width = VALUE_BITS[row - layout.M_MERCHANT]
        at = put_values(data, at, memory[row], spans, width, scratch)
    return at


@kernel
def get_memory(data: Bytes, at: int, memory: Ints, scratch: Ints) -> tuple[int, int]:
    """Read events into a memory, from its start on, and link them: how many; the next position."""
    counted, at = get_varint(data, at)
    old, at = get_varint(data, at)
    end, recent = int(counted), int(old)
    at = get_bits(data, at, memory[layout.M_ID], 0, end, 0, layout.HASH_BITS)
    at = get_times(data, at, memory, 0, recent, layout.HOUR)
    at = get_times(data, at, memory, recent, end, 1)
    at = get_column(data, at, memory[layout.M_AMOUNT], recent, end)
    at = get_bits(data, at, memory[layout.M_FLAGS], recent, end, 0, FLAG_BITS)
    clock = memory[layout.M_TIME, U(end - 1)] if end > 0 else np.int64(0)
    placed = first_after(memory, recent, end, clock - PLACE_AGE)
    for j in range(U(placed)):
        memory[layout.M_LATITUDE, j] = layout.MISSING
        memory[layout.M_LONGITUDE, j] = layout.MISSING
    for j in range(U(recent)):
        memory[layout.M_AMOUNT, j] = 0
        memory[layout.M_FLAGS, j] = 0
    for row in range(layout.M_LATITUDE, layout.M_LONGITUDE + 1):
        at = get_places(data, at, memory[row], placed, end)
    for row in range(layout.M_MERCHANT, layout.M_CATEGORY + 1):
        width = VALUE_BITS[row - layout.M_MERCHANT]
        at, count = get_values(data, at, memory[row], recent, end, width, scratch)
        if row < layout.M_CATEGORY:
            following = row - layout.M_MERCHANT + layout.M_NEXT_MERCHANT
            link(memory[following], recent, end, count, scratch)
    return end, at
