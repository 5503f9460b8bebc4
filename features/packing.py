"""Compact bytes for stored state: variable-length integers, and events in full.

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

TAIL_EVENT_BYTES = 128
"""More than an event of a tail takes."""


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


@kernel
def put_event(data: Bytes, at: int, event: Ints) -> int:
    """Write an encoded event in full, as the tail holds them; of its local time the difference."""
    for column in range(layout.EVENT_WIDTH):
        value = event[column]
        if column == layout.E_LOCAL:
            value = (value - event[layout.E_TIME]) // layout.MINUTE
        at = put_signed(data, at, value)
    return at


@kernel
def get_events(data: Bytes, at: int, count: int, events: Ints) -> int:
    """Read `count` events that `put_event` wrote, one after the other."""
    for i in range(count):
        for column in range(layout.EVENT_WIDTH):
            events[i, column], at = get_signed(data, at)
        minutes = events[i, layout.E_LOCAL]
        events[i, layout.E_LOCAL] = events[i, layout.E_TIME] + minutes * layout.MINUTE
    return at
