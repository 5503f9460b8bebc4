"""Cross-card features of a whole history, one entity after the other.

With all of an entity's events at hand, in the order of their clocks, the tiles of a window are a
run of them: two positions that only move forward, and no tile is ever made.
"""

import numpy as np
from numpy.typing import NDArray

from features import layout
from features.compiled import kernel, part, prefetched_in_bunches
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

F_CLOCK, F_AMOUNT, F_BIT, F_TOTAL = range(4)
"""Of an event in an entity's past: clock, amount, the card's bit, the sum of amounts before it."""
FACTS = 4
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
def gather_labels(past: Ints, labels: Ints, start: int, end: int) -> None:
    """The label tiles labels[start:end] as a past that nothing is younger than."""
    total = np.int64(0)
    for i in range(start, end):
        past[i - start, F_CLOCK] = labels[i, layout.T_ID] * layout.DAY
        past[i - start, F_TOTAL] = total
        total += labels[i, layout.T_SUM]
    past[end - start, F_CLOCK], past[end - start, F_TOTAL] = layout.NEVER, total


@part
def slide(past: Ints, window: Ints, since: int, until: int, seen: Ints, has_cards: bool) -> None:
    """Move a window to the events from `since` on and before `until`; the past goes on after it.

    `seen` counts the window's events by their card's bit.
    """
    start, end, bits = window[W_START], window[W_END], window[W_BITS]
    while past[end, F_CLOCK] < until:
        if has_cards:
            bits += seen[past[end, F_BIT]] == 0
            seen[past[end, F_BIT]] += 1
        end += 1
    while start < end and past[start, F_CLOCK] < since:
        if has_cards:
            seen[past[start, F_BIT]] -= 1
            bits -= seen[past[start, F_BIT]] == 0
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
        numbers[k, N_SUM] = past[end, F_TOTAL] - past[start, F_TOTAL]
        numbers[k, N_CARDS] = CARDS[places[k, W_BITS]]


@part
def forget(events: Ints, start: int, windows: Ints, places: Ints, seen: Ints) -> None:
    """Make all windows empty, as they are before an entity's first event, which is at `start`."""
    for k in range(len(windows)):
        if windows[k, 2]:
            for j in range(places[k, W_START], places[k, W_END]):
                seen[k, events[j, F_BIT]] = 0
        places[k, W_START] = 0 if windows[k, 0] == layout.S_LABEL else start
        places[k, W_END] = places[k, W_START]
        places[k, W_BITS], places[k, W_TILE] = 0, layout.MISSING


@part
def replay_all(
    scratch: tuple[Ints, Ints, Ints, Ints],
    order: Ints,
    bounds: Ints,
    events: Ints,
    labels: Ints,
    label_bounds: Ints,
    windows: Ints,
    emits: Ints,
    values: Floats,
) -> None:
    """What `replay_entities` does, in memory that is there."""
    told, seen, places, numbers = scratch
    for i in range(bounds[0]):
        emit_missing(emits, values, order[i])
    for e in range(len(bounds) - 1):
        forget(events, bounds[e], windows, places, seen)
        gather_labels(told, labels, label_bounds[e], label_bounds[e + 1])
        total = np.int64(0)
        for i in range(bounds[e], bounds[e + 1]):
            prefetched_in_bunches(values, order, i, emits[0, 3], emits[len(emits) - 1, 3])
            events[i, F_TOTAL] = total
            total += events[i, F_AMOUNT]
            read_past(events, told, events[i, F_CLOCK], windows, places, seen, numbers)
            emit_shared(emits, numbers, events[i, F_AMOUNT], values, order[i])


@kernel
def replay_entities(
    order: Ints,
    bounds: Ints,
    events: Ints,
    labels: Ints,
    label_bounds: Ints,
    windows: Ints,
    emits: Ints,
    values: Floats,
) -> None:
    """Features of all events: those at bounds[e] to bounds[e + 1] are an entity e's by clock.

    A row of `events` holds facts, of which the totals are filled in; its features become row
    order[i] of `values`. Rows before bounds[0] name no entity. `labels` are the entities' label
    tiles: of e, labels[label_bounds[e]:label_bounds[e + 1]].
    """
    told = np.zeros((most(label_bounds) + 1, FACTS), np.int64)
    seen = np.zeros((len(windows), layout.BITS), np.int64)
    places = np.zeros((len(windows), 4), np.int64)
    numbers = np.zeros((len(windows), NUMBERS), np.int64)
    scratch = (told, seen, places, numbers)
    replay_all(scratch, order, bounds, events, labels, label_bounds, windows, emits, values)
