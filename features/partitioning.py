"""On which partition a card's records belong: Kafka's murmur2 over whole columns.

A record elsewhere (another partitioner, or another number of partitions) has its card's
history on two partitions, so its features would be wrong without anybody noticing.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.transaction_rows import CARD_ID, TransactionRows, string_buffers
from features.compiled import kernel

MULTIPLIER = np.int64(0x5BD1E995)
SEED = np.int64(0x9747B28C)
MASK = np.int64(0xFFFFFFFF)
POSITIVE = np.int64(0x7FFFFFFF)


@kernel
def murmur2(data: NDArray[np.uint8], start: int, end: int) -> np.int64:
    """32-bit MurmurHash2 (Austin Appleby, public domain) of data[start:end], Kafka's seed."""
    state = SEED ^ np.int64(end - start)
    while end - start >= 4:
        word = np.int64(0)
        for i in range(4):
            word |= np.int64(data[start + i]) << np.int64(8 * i)
        word = (word * MULTIPLIER) & MASK
        word = ((word ^ (word >> np.int64(24))) * MULTIPLIER) & MASK
        state = ((state * MULTIPLIER) & MASK) ^ word
        start += 4
    if end > start:
        for i in range(end - start):
            state ^= np.int64(data[start + i]) << np.int64(8 * i)
        state = (state * MULTIPLIER) & MASK
    state = ((state ^ (state >> np.int64(13))) * MULTIPLIER) & MASK
    return state ^ (state >> np.int64(15))


@kernel
def partition_all(
    data: NDArray[np.uint8], spans: NDArray[np.int64], partitions: int, out: NDArray[np.int64]
) -> None:
    """The partition of every string data[spans[i, 0]:spans[i, 1]]."""
    for i in range(len(out)):
        out[i] = (murmur2(data, spans[i, 0], spans[i, 1]) & POSITIVE) % partitions


def partitions_of(keys: pa.ChunkedArray, partitions: int) -> NDArray[np.int64]:
    """The partition of each non-null key, as the Java clients and `murmur2_random` choose it."""
    out = np.zeros(len(keys), dtype=np.int64)
    if len(keys):
        data, bounds = string_buffers(keys)
        partition_all(data, np.column_stack((bounds[:-1], bounds[1:])), partitions, out)
    return out


def home_partitions(rows: TransactionRows, partitions: int) -> NDArray[np.int64]:
    """The partition where each transaction's card belongs."""
    out = np.empty(len(rows), dtype=np.int64)
    partition_all(rows.text, rows.spans[:, CARD_ID], partitions, out)
    return out
