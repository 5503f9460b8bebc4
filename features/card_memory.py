"""What a card remembers: events in the order of their effective times, and links between them."""

import numpy as np
from numpy.typing import NDArray

from features import layout
from features.compiled import part

Ints = NDArray[np.int64]

L_MERCHANT, L_DEVICE, L_COUNTRY, L_CATEGORY = range(4)
"""Of an event's own merchant and so on: where the card's last one stands, or -1."""
LAST = 4


@part
def clamped(amount: int) -> int:
    """The amount as statistics see it."""
    return min(max(amount, -layout.AMOUNT_CLAMP), layout.AMOUNT_CLAMP)


@part
def first_remembered(memory: Ints, start: int, end: int, clock: int) -> int:
    """Position of the first event that is still remembered when the card's clock is `clock`."""
    oldest_hour = clock // layout.HOUR - layout.MEMORY_HOURS
    while start < end and memory[layout.M_TIME, start] // layout.HOUR <= oldest_hour:
        start += 1
    return start


@part
def last_position(memory: Ints, row: int, first: int, end: int, value: int) -> int:
    """Position of the last event in [first, end) that holds `value`, or -1."""
    for j in range(end - 1, first - 1, -1):
        if memory[row, j] == value:
            return j
    return -1


@part
def find_last(memory: Ints, first: int, position: int, event: Ints, last: Ints) -> None:
    """Where the last visible events stand that have the event's merchant, device and so on."""
    for k in range(LAST):
        value = event[layout.E_MERCHANT + k]
        last[k] = last_position(memory, layout.M_MERCHANT + k, first, position, value)


@part
def make_room(memory: Ints, cursor: Ints) -> None:
    """Move the remembered events to the start: their rows are full."""
    start, end = cursor[layout.C_START], cursor[layout.C_END]
    for j in range(end - start):
        for row in range(layout.MEMORY_WIDTH):
            memory[row, j] = memory[row, start + j]
        for row in range(layout.M_NEXT_MERCHANT, layout.M_NEXT_COUNTRY + 1):
            if memory[row, j] != layout.NEVER:
                memory[row, j] -= start
    cursor[layout.C_START], cursor[layout.C_END] = 0, end - start


@part
def link_all(memory: Ints, start: int, end: int) -> None:
    """For each event, find the next one with the same merchant, device and country."""
    for row in range(layout.M_MERCHANT, layout.M_COUNTRY + 1):
        following = row - layout.M_MERCHANT + layout.M_NEXT_MERCHANT
        for j in range(start, end):
            memory[following, j] = layout.NEVER
            for k in range(j + 1, end):
                if memory[row, k] == memory[row, j]:
                    memory[following, j] = k
                    break


@part
def link_last(memory: Ints, last: Ints, position: int) -> None:
    """The event at the end of the memory becomes the next one of those it equals."""
    for k in range(L_COUNTRY + 1):
        memory[layout.M_NEXT_MERCHANT + k, position] = layout.NEVER
        if last[k] >= 0:
            memory[layout.M_NEXT_MERCHANT + k, last[k]] = position


@part
def remember(
    memory: Ints, cursor: Ints, position: int, time: int, event: Ints, is_described: bool
) -> None:
    """Insert the event at `position` (absolute), in order of effective time, then of offset.

    Of events that are not described the rest of the memory stays 0, which is what they hold there.
    """
    start, end = cursor[layout.C_START], cursor[layout.C_END]
    for j in range(end, position, -1):
        for row in range(layout.M_NEXT_MERCHANT):
            memory[row, j] = memory[row, j - 1]
    memory[layout.M_TIME, position] = time
    memory[layout.M_AMOUNT, position] = clamped(event[layout.E_AMOUNT])
    memory[layout.M_ID, position] = event[layout.E_ID]
    if is_described:
        memory[layout.M_MERCHANT, position] = event[layout.E_MERCHANT]
        memory[layout.M_DEVICE, position] = event[layout.E_DEVICE]
        memory[layout.M_COUNTRY, position] = event[layout.E_COUNTRY]
        memory[layout.M_CATEGORY, position] = event[layout.E_CATEGORY]
        memory[layout.M_LATITUDE, position] = event[layout.E_LATITUDE]
        memory[layout.M_LONGITUDE, position] = event[layout.E_LONGITUDE]
        memory[layout.M_FLAGS, position] = event[layout.E_FLAGS] & layout.REMEMBERED_FLAGS
    cursor[layout.C_END] = end + 1
    if end + 1 - start > layout.CAP:
        cursor[layout.C_START] = start + 1
        cursor[layout.C_CAPPED] += 1
