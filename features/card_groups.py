"""The rows of a batch by card, each card's in offset order."""

import numpy as np
from numpy.typing import NDArray

from contracts.transaction_rows import CARD_ID, EventRows, Text
from features.compiled import kernel, part
from features.encoding import H_CARD
from features.hash_table import SPARSE, spread

Ints = NDArray[np.int64]


def grouped_by_card(events: EventRows, hashes: Ints) -> tuple[Ints, Ints]:
    """Row numbers grouped by (partition, card), in the order of first rows; each group's bounds.

    In `events` the rows of a partition stand together in offset order: so do its groups. Cards
    whose hashes are equal are told apart by their identifiers.
    """
    cards, sequence = events.rows.text_of(CARD_ID), np.arange(len(events))
    order, _, bounds = group_rows(cards, hashes[:, H_CARD], events.partitions, sequence)
    return order, bounds


@part
def is_same_text(text: Text, i: int, j: int) -> bool:
    """Whether two rows hold the same bytes."""
    first, second = text.starts[i], text.starts[j]
    size = text.ends[i] - first
    if text.ends[j] - second != size:
        return False
    different = 0
    for k in range(size):
        different += text.content[np.uint64(first + k)] != text.content[np.uint64(second + k)]
    return different == 0


@part
def number_cards(
    cards: Text,
    hashes: Ints,
    partitions: NDArray[np.int32],
    sequence: Ints,
    start: int,
    known: int,
    table: tuple[NDArray[np.int32], Ints, Ints, Ints],
) -> tuple[int, int]:
    """Number the cards of sequence[start:] until the table is full: how far, how many cards."""
    slots, keys, heads, codes = table
    while start < len(sequence) and SPARSE * known < len(slots):
        i = sequence[start]
        key = hashes[i] ^ partitions[i]
        slot = key & (len(slots) - 1)
        while slots[slot] != 0:
            head = heads[slots[slot] - 1]
            is_near = keys[slots[slot] - 1] == key and partitions[head] == partitions[i]
            if is_near and is_same_text(cards, head, i):
                break
            slot = (slot + 1) & (len(slots) - 1)
        if slots[slot] == 0:
            keys[known], heads[known] = key, i
            known += 1
            slots[slot] = known
        codes[i] = slots[slot]
        start += 1
    return start, known


@kernel
def card_codes(
    cards: Text, hashes: Ints, partitions: NDArray[np.int32], sequence: Ints
) -> tuple[Ints, int]:
    """Cards numbered from 1 on in the order of their first rows in `sequence`; how many."""
    codes, heads = np.empty(len(hashes), np.int64), np.empty(len(hashes), np.int64)
    keys, at, known, size = np.empty(len(hashes), np.int64), 0, 0, 1024
    while at < len(sequence):
        table = (spread(keys, known, size), keys, heads, codes)
        at, known = number_cards(cards, hashes, partitions, sequence, at, known, table)
        size *= 2
    return codes, known


@kernel
def group_rows(
    cards: Text, hashes: Ints, partitions: NDArray[np.int32], sequence: Ints
) -> tuple[Ints, Ints, Ints]:
    """Row numbers by card, where each row comes there, and each card's bounds.

    Cards come in the order of their first rows in `sequence`, a card's rows in their order there.
    """
    codes, known = card_codes(cards, hashes, partitions, sequence)
    bounds = np.zeros(known + 2, np.int64)
    for i in range(len(codes)):
        bounds[codes[i] + 1] += 1
    for code in range(known):
        bounds[code + 2] += bounds[code + 1]
    order, places = np.empty(len(codes), np.int64), np.empty(len(codes), np.int64)
    for i in sequence:
        places[i] = bounds[codes[i]]
        order[places[i]] = i
        bounds[codes[i]] += 1
    return order, places, bounds[: known + 1].copy()
