"""Compact bytes for a card's state: variable-length integers, hashes in five bytes.

Writers return the next free position, readers the value and the next position.
"""

import numpy as np
from numpy.typing import NDArray

from features import layout
from features.compiled import kernel

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]

Integer = int | np.int64
U = np.uint64
"""Unsigned positions spare the machine the question whether they count from the end."""

HASH_BYTES = layout.HASH_BITS // 8
EVENT_BYTES = 128
"""More than any packed event takes."""


@kernel
def grown(data: Bytes, needed: int) -> Bytes:
    """`data` itself, or a copy at least twice as long that has `needed` bytes."""
    if needed <= len(data):
        return data
    larger = np.empty(max(needed, 2 * len(data)), dtype=np.uint8)
    larger[: len(data)] = data
    return larger


@kernel
def put_varint(data: Bytes, at: int, value: Integer) -> int:
    """Write a non-negative integer, seven bits a byte."""
    while value >= 128:
        data[U(at)] = (value & 127) | 128
        value >>= 7
        at += 1
    data[U(at)] = value
    return at + 1


@kernel
def get_varint(data: Bytes, at: int) -> tuple[Integer, int]:
    """Read what `put_varint` wrote."""
    value, shift = np.int64(0), 0
    while data[U(at)] >= 128:
        value |= np.int64(data[U(at)] & 127) << shift
        shift += 7
        at += 1
    return value | np.int64(data[U(at)]) << shift, at + 1


@kernel
def put_signed(data: Bytes, at: int, value: Integer) -> int:
    """Write an integer of either sign, small magnitudes short."""
    return put_varint(data, at, (value << 1) if value >= 0 else ((-value) << 1) - 1)


@kernel
def get_signed(data: Bytes, at: int) -> tuple[Integer, int]:
    """Read what `put_signed` wrote."""
    coded, at = get_varint(data, at)
    return (-((coded + 1) >> 1) if coded & 1 else coded >> 1), at


@kernel
def put_fixed(data: Bytes, at: int, value: Integer, size: int) -> int:
    """Write a non-negative integer as `size` bytes, most significant first."""
    for i in range(size):
        data[U(at + i)] = (value >> (8 * (size - 1 - i))) & 255
    return at + size


@kernel
def get_fixed(data: Bytes, at: int, size: int) -> tuple[Integer, int]:
    """Read what `put_fixed` wrote."""
    value = np.int64(0)
    for i in range(size):
        value = (value << 8) | np.int64(data[U(at + i)])
    return value, at + size


SAME_DEVICE, SAME_COUNTRY, SAME_CATEGORY, IS_OLD, HAS_PLACE = 8, 16, 32, 64, 128


@kernel
def marks_of(memory: Ints, j: int, before: int, twin: int, clock: int) -> Integer:
    """What is left out of a packed event; the low bits are its remembered flags.

    Device and country are left out when they are those of the event before, the category when it is
    that of `twin`: the event before at this merchant, or else simply the event before.
    """
    marks: Integer = memory[layout.M_FLAGS, U(j)]
    if before >= 0:
        marks |= SAME_DEVICE * (memory[layout.M_DEVICE, U(j)] == memory[layout.M_DEVICE, U(before)])
        marks |= SAME_COUNTRY * (
            memory[layout.M_COUNTRY, U(j)] == memory[layout.M_COUNTRY, U(before)]
        )
        marks |= SAME_CATEGORY * (
            memory[layout.M_CATEGORY, U(j)] == memory[layout.M_CATEGORY, U(twin)]
        )
    age = clock - memory[layout.M_TIME, U(j)]
    if age >= layout.LONGEST_WINDOW + layout.LATENESS:
        return marks | IS_OLD
    if age < layout.PLACE_MEMORY + layout.LATENESS:
        marks |= HAS_PLACE * (memory[layout.M_LATITUDE, U(j)] != layout.MISSING)
    return marks


@kernel
def twins(memory: Ints, start: int, end: int) -> Ints:
    """How far back the event before at the same merchant is; 0 for none."""
    back = np.zeros(end - start, dtype=np.int64)
    for j in range(start, end):
        following = memory[layout.M_NEXT_MERCHANT, U(j)]
        if following < end:
            back[following - start] = following - j
    return back


@kernel
def put_time(data: Bytes, at: int, time: Integer, previous: Integer, is_old: Integer) -> int:
    """Write the time since the event before, of old events in hours."""
    return put_varint(data, at, (time - previous) // layout.HOUR if is_old else time - previous)


@kernel
def put_memory(data: Bytes, at: int, memory: Ints, start: int, end: int) -> int:
    """Write the remembered events; amounts and places that no window can reach are left out."""
    clock = memory[layout.M_TIME, end - 1] if end > start else 0
    back = twins(memory, start, end)
    previous: Integer = 0
    for j in range(start, end):
        twin = j - max(back[j - start], 1)
        marks = marks_of(memory, j, j - 1 if j > start else -1, twin, clock)
        time = memory[layout.M_TIME, U(j)]
        if marks & IS_OLD:
            time -= time % layout.HOUR
        data[U(at)] = marks
        at = put_time(data, at + 1, time, previous, marks & IS_OLD)
        previous = time
        at = put_fixed(data, at, memory[layout.M_ID, U(j)], HASH_BYTES)
        at = put_varint(data, at, back[j - start])
        if back[j - start] == 0:
            at = put_fixed(data, at, memory[layout.M_MERCHANT, U(j)], HASH_BYTES)
        if not marks & SAME_DEVICE:
            at = put_fixed(data, at, memory[layout.M_DEVICE, U(j)], HASH_BYTES)
        if not marks & SAME_COUNTRY:
            at = put_varint(data, at, memory[layout.M_COUNTRY, U(j)])
        if not marks & SAME_CATEGORY:
            at = put_varint(data, at, memory[layout.M_CATEGORY, U(j)])
        if not marks & IS_OLD:
            at = put_signed(data, at, memory[layout.M_AMOUNT, U(j)])
        if marks & HAS_PLACE:
            at = put_signed(data, at, memory[layout.M_LATITUDE, U(j)])
            at = put_signed(data, at, memory[layout.M_LONGITUDE, U(j)])
    return at


@kernel
def link_back(memory: Ints, row: int, j: int, is_same: Integer) -> None:
    """The last event before `j` with its value in `row` gets `j` as the next one."""
    following = row - layout.M_MERCHANT + layout.M_NEXT_MERCHANT
    before = j - 1
    if not is_same:
        while before >= 0 and memory[row, U(before)] != memory[row, U(j)]:
            before -= 1
    if before >= 0:
        memory[following, U(before)] = j


@kernel
def get_memory(data: Bytes, at: int, count: int, memory: Ints) -> int:
    """Read `count` events into a memory's columns 0 .. count - 1, and link them."""
    time: Integer = 0
    for j in range(count):
        for row in range(layout.M_NEXT_MERCHANT, layout.M_NEXT_COUNTRY + 1):
            memory[row, U(j)] = layout.NEVER
        marks = np.int64(data[U(at)])
        step, at = get_varint(data, at + 1)
        time += step * layout.HOUR if marks & IS_OLD else step
        memory[layout.M_TIME, U(j)] = time
        memory[layout.M_FLAGS, U(j)] = marks & layout.REMEMBERED_FLAGS
        memory[layout.M_ID, U(j)], at = get_fixed(data, at, HASH_BYTES)
        back, at = get_varint(data, at)
        twin = j - max(back, 1)
        if back == 0:
            memory[layout.M_MERCHANT, U(j)], at = get_fixed(data, at, HASH_BYTES)
        else:
            memory[layout.M_MERCHANT, U(j)] = memory[layout.M_MERCHANT, U(twin)]
            memory[layout.M_NEXT_MERCHANT, U(twin)] = j
        at = get_description(data, at, j, twin, marks, memory)
        link_back(memory, layout.M_DEVICE, j, marks & SAME_DEVICE)
        link_back(memory, layout.M_COUNTRY, j, marks & SAME_COUNTRY)
    return at


@kernel
def get_description(
    data: Bytes, at: int, j: int, twin: Integer, marks: Integer, memory: Ints
) -> int:
    """Read device, country, category, amount and place of event `j`."""
    memory[layout.M_AMOUNT, U(j)] = 0
    memory[layout.M_LATITUDE, U(j)] = layout.MISSING
    memory[layout.M_LONGITUDE, U(j)] = layout.MISSING
    if marks & SAME_DEVICE:
        memory[layout.M_DEVICE, U(j)] = memory[layout.M_DEVICE, U(j - 1)]
    else:
        memory[layout.M_DEVICE, U(j)], at = get_fixed(data, at, HASH_BYTES)
    if marks & SAME_COUNTRY:
        memory[layout.M_COUNTRY, U(j)] = memory[layout.M_COUNTRY, U(j - 1)]
    else:
        memory[layout.M_COUNTRY, U(j)], at = get_varint(data, at)
    if marks & SAME_CATEGORY:
        memory[layout.M_CATEGORY, U(j)] = memory[layout.M_CATEGORY, U(twin)]
    else:
        memory[layout.M_CATEGORY, U(j)], at = get_varint(data, at)
    if not marks & IS_OLD:
        memory[layout.M_AMOUNT, U(j)], at = get_signed(data, at)
    if marks & HAS_PLACE:
        memory[layout.M_LATITUDE, U(j)], at = get_signed(data, at)
        memory[layout.M_LONGITUDE, U(j)], at = get_signed(data, at)
    return at


@kernel
def put_event(data: Bytes, at: int, event: Ints) -> int:
    """Write an encoded event in full, as the tail holds them."""
    for column in range(layout.EVENT_WIDTH):
        at = put_signed(data, at, event[column])
    return at


@kernel
def get_events(data: Bytes, at: int, count: int, events: Ints) -> int:
    """Read `count` events that `put_event` wrote, one after the other."""
    for i in range(count):
        for column in range(layout.EVENT_WIDTH):
            events[i, column], at = get_signed(data, at)
    return at
