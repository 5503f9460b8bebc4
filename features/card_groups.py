"""The rows of a batch by card, each card's in offset order."""

import numpy as np
from numpy.typing import NDArray

from contracts.transaction_rows import CARD_ID, EventRows
from features.compiled import kernel, part
from features.encoding import H_CARD

Ints = NDArray[np.int64]


def grouped_by_card(events: EventRows, hashes: Ints) -> tuple[Ints, Ints]:
    """Row numbers by (partition, card), and each group's bounds; a partition's stand together.

    The rows of a partition stand together in offset order. Cards whose hashes are equal are told
    apart by their identifiers.
    """
    spans = events.rows.spans[:, CARD_ID]
    return group_rows(events.rows.text, spans, hashes[:, H_CARD], events.partitions)


@part
def is_same_text(text: NDArray[np.uint8], spans: Ints, i: int, j: int) -> bool:
    """Whether two rows hold the same bytes."""
    size = spans[i, 1] - spans[i, 0]
    if spans[j, 1] - spans[j, 0] != size:
        return False
    first, second = spans[i, 0], spans[j, 0]
    different = 0
    for k in range(size):
        different += text[np.uint64(first + k)] != text[np.uint64(second + k)]
    return different == 0


@kernel
def group_rows(
    text: NDArray[np.uint8], spans: Ints, hashes: Ints, partitions: NDArray[np.int32]
) -> tuple[Ints, Ints]:
    """Groups in the order of their first rows; within one the rows' order stays."""
    size = 16
    while size < 2 * len(hashes):
        size *= 2
    slots = np.full(size, -1, np.int64)
    heads, codes = np.empty(len(hashes), np.int64), np.empty(len(hashes), np.int64)
    bounds = np.zeros(len(hashes) + 2, np.int64)
    groups = 0
    for i in range(len(hashes)):
        slot = (hashes[i] ^ partitions[i]) & (size - 1)
        while slots[slot] >= 0:
            head = heads[slots[slot]]
            is_near = hashes[head] == hashes[i] and partitions[head] == partitions[i]
            if is_near and is_same_text(text, spans, head, i):
                break
            slot = (slot + 1) & (size - 1)
        if slots[slot] < 0:
            slots[slot], heads[groups] = groups, i
            groups += 1
        codes[i] = slots[slot]
        bounds[codes[i] + 2] += 1
    for group in range(groups):
        bounds[group + 2] += bounds[group + 1]
    order = np.empty(len(hashes), np.int64)
    for i in range(len(hashes)):
        order[bounds[codes[i] + 1]] = i
        bounds[codes[i] + 1] += 1
    return order, bounds[: groups + 1].copy()
