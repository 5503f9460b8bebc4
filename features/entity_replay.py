"""Cross-card features of a whole history, one entity after the other.

With all of an entity's events at hand, in the order of their clocks, the tiles of a window are a
run of them: two positions that only move forward, and no tile is ever made.
"""

import numpy as np
from numpy.typing import NDArray

from features import layout
from features.compiled import kernel, part, prefetched
from features.tile_kernel import (
    CARDS,
    N_CARDS,
    N_COUNT,
    N_SUM,
    NUMBERS,
    emit_missing,
    emit_shared,
    end_tile,
    tile_length,
)

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

F_CLOCK, F_AMOUNT, F_BIT = range(3)
AHEAD = 8
"""So many events before its turn a row of features is asked for: rows lie all over the memory."""
P_TIME, P_TOTAL, P_BIT = range(3)
"""Rows of a past: when, the sum of amounts before, and the card's bit of each event."""
W_START, W_END, W_BITS, W_TILE = range(4)
"""Of a window: its first event, the one after its last, bits that are set, the tile it ends at."""


@part
def most(bounds: Ints) -> int:
    """The largest number of rows between two bounds."""
    largest = 0
    for e in range(len(bounds) - 1):
        largest = max(largest, bounds[e + 1] - bounds[e])
    return largest


@part
def gather_events(past: Ints, order: Ints, start: int, end: int, facts: Ints) -> None:
    """The events order[start:end] as a past."""
    total = np.int64(0)
    for i in range(start, end):
        if i + AHEAD < len(order):
            prefetched(facts, order[i + AHEAD], F_CLOCK, F_BIT)
        past[P_TIME, i - start] = facts[order[i], F_CLOCK]
        past[P_TOTAL, i - start] = total
        past[P_BIT, i - start] = facts[order[i], F_BIT]
        total += facts[order[i], F_AMOUNT]
    past[P_TOTAL, end - start] = total


@part
def gather_labels(past: Ints, labels: Ints, start: int, end: int) -> None:
    """The label tiles labels[start:end] as a past that nothing is younger than."""
    total = np.int64(0)
    for i in range(start, end):
        past[P_TIME, i - start] = labels[i, layout.T_ID] * layout.DAY
        past[P_TOTAL, i - start] = total
        total += labels[i, layout.T_SUM]
    past[P_TIME, end - start], past[P_TOTAL, end - start] = layout.NEVER, total


@part
def slide(past: Ints, window: Ints, since: int, until: int, seen: Ints, has_cards: bool) -> None:
    """Move a window to the events from `since` on and before `until`; the past goes on after it.

    `seen` counts the window's events by their card's bit.
    """
    start, end, bits = window[W_START], window[W_END], window[W_BITS]
    while past[P_TIME, end] < until:
        if has_cards:
            bits += seen[past[P_BIT, end]] == 0
            seen[past[P_BIT, end]] += 1
        end += 1
    while start < end and past[P_TIME, start] < since:
        if has_cards:
            seen[past[P_BIT, start]] -= 1
            bits -= seen[past[P_BIT, start]] == 0
        start += 1
    window[W_START], window[W_END], window[W_BITS] = start, end, bits


@part
def read_past(
    events: Ints, labels: Ints, clock: int, windows: Ints, places: Ints, seen: Ints, numbers: Ints
) -> None:
    """Fill a row of `numbers` per window with the tiles that ended in time for `clock`."""
    for k in range(len(windows)):
        section = windows[k, 0]
        last = end_tile(section, clock)
        if last == places[k, W_TILE]:
            continue
        places[k, W_TILE] = last
        past = labels if section == layout.S_LABEL else events
        length = tile_length(section)
        since = (last - windows[k, 1]) * length
        slide(past, places[k], since, last * length, seen[k], windows[k, 2] != 0)
        start, end = places[k, W_START], places[k, W_END]
        numbers[k, N_COUNT] = end - start
        numbers[k, N_SUM] = past[P_TOTAL, end] - past[P_TOTAL, start]
        numbers[k, N_CARDS] = CARDS[places[k, W_BITS]]


@part
def forget(events: Ints, windows: Ints, places: Ints, seen: Ints) -> None:
    """Make all windows empty, as they are before an entity's first event."""
    for k in range(len(windows)):
        if windows[k, 2]:
            for j in range(places[k, W_START], places[k, W_END]):
                seen[k, events[P_BIT, j]] = 0
        places[k, W_START] = places[k, W_END] = places[k, W_BITS] = 0
        places[k, W_TILE] = layout.MISSING


@part
def replay_all(
    scratch: tuple[Ints, Ints, Ints, Ints, Ints],
    order: Ints,
    bounds: Ints,
    facts: Ints,
    labels: Ints,
    label_bounds: Ints,
    windows: Ints,
    emits: Ints,
    values: Floats,
) -> None:
    """What `replay_entities` does, in memory that is there."""
    past, told, seen, places, numbers = scratch
    for i in range(bounds[0]):
        emit_missing(emits, values, order[i])
    for e in range(len(bounds) - 1):
        forget(past, windows, places, seen)
        gather_events(past, order, bounds[e], bounds[e + 1], facts)
        gather_labels(told, labels, label_bounds[e], label_bounds[e + 1])
        for i in range(bounds[e], bounds[e + 1]):
            if i + AHEAD < len(order):
                prefetched(values, order[i + AHEAD], emits[0, 3], emits[len(emits) - 1, 3])
            at = i - bounds[e]
            read_past(past, told, past[P_TIME, at], windows, places, seen, numbers)
            amount = past[P_TOTAL, at + 1] - past[P_TOTAL, at]
            emit_shared(emits, numbers, amount, values, order[i])


@kernel
def replay_entities(
    order: Ints,
    bounds: Ints,
    facts: Ints,
    labels: Ints,
    label_bounds: Ints,
    windows: Ints,
    emits: Ints,
    values: Floats,
) -> None:
    """Features of all events: rows order[bounds[e]:bounds[e + 1]] of an entity e by clock.

    A row of `facts` is an event's clock, amount and card bit. Rows before bounds[0] name no entity.
    `labels` are the entities' label tiles: of e, labels[label_bounds[e]:label_bounds[e + 1]].
    """
    past = np.zeros((3, most(bounds) + 1), np.int64)
    told = np.zeros((3, most(label_bounds) + 1), np.int64)
    seen = np.zeros((len(windows), layout.BITS), np.int64)
    places = np.zeros((len(windows), 4), np.int64)
    numbers = np.zeros((len(windows), NUMBERS), np.int64)
    scratch = (past, told, seen, places, numbers)
    replay_all(scratch, order, bounds, facts, labels, label_bounds, windows, emits, values)
