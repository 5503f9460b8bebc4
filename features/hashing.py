"""XXH64 (seed 0) of string columns: the one hash by which identifiers are remembered.

Written from the specification in xxHash's documentation; its published test values are in the
tests. 64 bits, uniform on short identifiers; not meant to resist an attacker who picks identifiers.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.transaction_kernel import NULL_SPAN
from contracts.transaction_rows import Text, text_of
from features.compiled import kernel, part

P1 = np.uint64(0x9E3779B185EBCA87)
P2 = np.uint64(0xC2B2AE3D27D4EB4F)
P3 = np.uint64(0x165667B19E3779F9)
P4 = np.uint64(0x85EBCA77C2B2AE63)
P5 = np.uint64(0x27D4EB2F165667C5)
SEED_1 = np.uint64(0x60EA27EEADC0B5D6)
SEED_4 = np.uint64(0x61C8864E7A143579)
ZERO = np.uint64(0)
WORD = np.uint64(64)


@part
def rotated(value: np.uint64, bits: int) -> np.uint64:
    """Rotate 64 bits to the left."""
    shift = np.uint64(bits)
    return (value << shift) | (value >> (WORD - shift))


@part
def little_endian(data: NDArray[np.uint8], start: int, size: int) -> np.uint64:
    """An unsigned integer of `size` bytes."""
    value = ZERO
    for i in range(size):
        value |= np.uint64(data[np.uint64(start + i)]) << np.uint64(8 * i)
    return value


@part
def mixed(lane: np.uint64, word: np.uint64) -> np.uint64:
    """One round of XXH64."""
    return rotated(lane + word * P2, 31) * P1


@kernel
def stripes(data: NDArray[np.uint8], start: int, end: int) -> np.uint64:
    """The hash so far of the leading 32-byte stripes."""
    one, two, three, four = SEED_1, P2, ZERO, SEED_4
    while start + 32 <= end:
        one = mixed(one, little_endian(data, start, 8))
        two = mixed(two, little_endian(data, start + 8, 8))
        three = mixed(three, little_endian(data, start + 16, 8))
        four = mixed(four, little_endian(data, start + 24, 8))
        start += 32
    value = rotated(one, 1) + rotated(two, 7) + rotated(three, 12) + rotated(four, 18)
    for lane in (one, two, three, four):
        value = (value ^ mixed(ZERO, lane)) * P1 + P4
    return value


@part
def xxh64(data: NDArray[np.uint8], start: int, end: int) -> np.uint64:
    """XXH64 of data[start:end]."""
    value = stripes(data, start, end) if end - start >= 32 else P5
    value += np.uint64(end - start)
    start += (end - start) // 32 * 32
    while start + 8 <= end:
        value = rotated(value ^ mixed(ZERO, little_endian(data, start, 8)), 27) * P1 + P4
        start += 8
    if start + 4 <= end:
        value = rotated(value ^ (little_endian(data, start, 4) * P1), 23) * P2 + P3
        start += 4
    while start < end:
        value = rotated(value ^ (np.uint64(data[start]) * P5), 11) * P1
        start += 1
    value = (value ^ (value >> np.uint64(33))) * P2
    value = (value ^ (value >> np.uint64(29))) * P3
    return value ^ (value >> np.uint64(32))


@part
def whole_hash(content: NDArray[np.uint8], start: int, end: int) -> np.int64:
    """XXH64 of content[start:end] as a signed integer, never 0; 0 for null."""
    if start == NULL_SPAN:
        return np.int64(0)
    value = np.int64(xxh64(content, start, end))
    return value if value != 0 else np.int64(1)


@kernel
def hash_all(text: Text, out: NDArray[np.int64]) -> None:
    """XXH64 of each string as a signed integer, never 0; 0 for null."""
    content, starts, ends = text
    for i in range(len(out)):
        out[i] = whole_hash(content, starts[i], ends[i])


@part
def hash_spans(
    content: NDArray[np.uint8],
    spans: NDArray[np.int64],
    fields: NDArray[np.int64],
    out: NDArray[np.int64],
) -> None:
    """What `hash_all` makes of each of a row's `fields`, content[spans[i, f, 0]:spans[i, f, 1]].

    `out` is [n, fields].
    """
    for i in range(len(out)):
        for k in range(len(fields)):
            start, end = spans[i, fields[k], 0], spans[i, fields[k], 1]
            out[i, k] = whole_hash(content, start, end)


def hash_column(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """What `hash_all` makes of a column."""
    out = np.empty(len(column), dtype=np.int64)
    hash_all(text_of(column), out)
    return out
