"""A partition's clock: the largest record timestamp among its readable records so far."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.compiled import kernel

Ints = NDArray[np.int64]


def partition_clocks(records: pa.Table) -> Ints:
    """The clock of each row's partition at that row, milliseconds; rows in any order.

    `records` holds whole partitions from their beginning: `partition`, `offset`, `timestamp_us`.
    """
    stamps = stamps_ms(records)
    partitions = records["partition"].to_numpy()
    order = by_partition_and_offset(records)
    edges = np.flatnonzero(np.diff(partitions[order])) + 1
    clocks = np.empty(len(stamps), dtype=np.int64)
    for rows in np.split(order, edges):
        clocks[rows] = np.maximum.accumulate(stamps[rows])
    return clocks


def by_partition_and_offset(records: pa.Table) -> Ints:
    """Row numbers by partition and offset: sorted only where they are not in that order yet."""
    partitions, offsets = records["partition"].to_numpy(), records["offset"].to_numpy()
    steps = np.diff(partitions)
    if ((steps > 0) | ((steps == 0) & (np.diff(offsets) > 0))).all():
        return np.arange(len(offsets))
    order: Ints = np.lexsort((offsets, partitions))
    return order


def clocks_after(before: int, stamps: Ints) -> Ints:
    """The clock at each record of one partition in offset order, `before` being the one so far."""
    return np.maximum(np.maximum.accumulate(stamps), before)


@kernel
def clocks_of_batch(timestamps_us: Ints, partitions: NDArray[np.int32], before: Ints) -> Ints:
    """`clocks_after` of several partitions' records, which stand together; `before` of each."""
    clocks = np.empty(len(partitions), np.int64)
    span, clock = -1, np.int64(0)
    for i in range(len(partitions)):
        if i == 0 or partitions[i] != partitions[i - 1]:
            span += 1
            clock = before[span]
        clock = max(clock, timestamps_us[i] // 1000)
        clocks[i] = clock
    return clocks


def stamps_ms(records: pa.Table) -> Ints:
    """Record timestamps in milliseconds, which is what Kafka keeps."""
    stamps: Ints = records["timestamp_us"].to_numpy() // 1000
    return stamps.astype(np.int64, copy=False)
