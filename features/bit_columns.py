"""Columns of integers, all of one column in as many bits as its largest needs.

Words of eight bytes are read and written, of which only the bits of the column count: behind the
bytes of a column `SLACK` more must be there. A column begins at a whole byte. Writers return the
next free position, readers the next position.
"""

import numpy as np

from features.compiled import kernel
from features.packing import Bytes, Integer, Ints, get_signed, put_signed

SLACK = 8
MOST_BITS = 56
"""A column's integers may be so wide: with the bits before them they fit a word."""

U = np.uint64
"""Unsigned positions spare the machine the question whether they count from the end."""
ZERO, ONE, BYTE = U(0), U(1), U(8)


@kernel
def word_at(data: Bytes, at: np.uint64) -> np.uint64:
    """Eight bytes, least significant first; the machine reads them at once."""
    value = ZERO
    for i in range(8):
        value |= U(data[at + U(i)]) << U(8 * i)
    return value


@kernel
def put_word(data: Bytes, at: np.uint64, value: np.uint64) -> None:
    """Write what `word_at` reads."""
    for i in range(8):
        data[at + U(i)] = (value >> U(8 * i)) & U(255)


@kernel
def bits_of(largest: Integer) -> int:
    """How many bits a non-negative integer takes."""
    width = 0
    while largest >> width:
        width += 1
    return width


@kernel
def bytes_of(count: int, width: int) -> int:
    """How many bytes the bits of a column take."""
    return (count * width + 7) // 8


@kernel
def put_bits(
    data: Bytes, at: int, values: Ints, first: int, end: int, base: Integer, width: int
) -> int:
    """Write values[first:end], each less `base`, in `width` bits each."""
    place, held, filled = U(at), ZERO, ZERO
    for j in range(U(first), U(end)):
        held |= U(values[j] - base) << filled
        put_word(data, place, held)
        filled += U(width)
        place += filled // BYTE
        held >>= filled // BYTE * BYTE
        filled %= BYTE
    return at + bytes_of(end - first, width)


@kernel
def get_bits(
    data: Bytes, at: int, values: Ints, first: int, end: int, base: Integer, width: int
) -> int:
    """Read what `put_bits` wrote."""
    mask, bit = (ONE << U(width)) - ONE, BYTE * U(at)
    for j in range(U(first), U(end)):
        word = word_at(data, bit // BYTE)
        values[j] = base + np.int64((word >> (bit % BYTE)) & mask)
        bit += U(width)
    return at + bytes_of(end - first, width)


@kernel
def put_column(data: Bytes, at: int, values: Ints, first: int, end: int) -> int:
    """Write values[first:end] as what they are above the smallest, and that and their width."""
    if first >= end:
        return at
    smallest, largest = values[first], values[first]
    for j in range(U(first), U(end)):
        smallest = min(smallest, values[j])
        largest = max(largest, values[j])
    width = bits_of(largest - smallest)
    at = put_signed(data, at, smallest)
    data[U(at)] = width
    return put_bits(data, at + 1, values, first, end, smallest, width)


@kernel
def get_column(data: Bytes, at: int, values: Ints, first: int, end: int) -> int:
    """Read what `put_column` wrote."""
    if first >= end:
        return at
    smallest, at = get_signed(data, at)
    width = int(data[U(at)])
    return get_bits(data, at + 1, values, first, end, smallest, width)
