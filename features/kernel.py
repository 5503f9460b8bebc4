"""The fold: one event against what its card remembers, in integers.

A batch call equals any sequence of smaller ones bit for bit, because every feature is computed
from the remembered events themselves, and every mean is one division at the end.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features import layout
from features.card_memory import (
    LAST,
    clamped,
    find_last,
    first_remembered,
    link_all,
    link_last,
    make_room,
    remember,
)
from features.compiled import kernel, part, prefetched, prefetched_in_bunches
from features.instants import has_instants, instants
from features.statistic import INSTANTS, STATISTICS
from features.windows import (
    COMPARED,
    K_END,
    KEPT,
    NEEDS_APART,
    RUNNING,
    SAME_MERCHANT,
    add_up,
    comparisons,
    counts,
    enter,
    keep,
    matches,
    order_window,
    place_windows,
    same_merchants,
    shares,
    sum_window,
    tell_apart,
)

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Card(NamedTuple):
    """What is kept of a card while its events are folded one after the other.

    Its memory and the running sums of it; per window where it began, and what is `kept` of it;
    where the last ones stand; which identifiers it may have had, see `may_be_known`.
    """

    memory: Ints
    running: Ints
    starts: Ints
    kept: Ints
    last: Ints
    seen: Ints


class Plan(NamedTuple):
    """What is asked for: of each window, in each slot of a vector, and of any window at all.

    `is_described`: more than times and amounts; `has_instants`: numbers of `Instant`.
    """

    windows: Ints
    slots: Ints
    asked: int
    is_described: bool
    has_instants: bool


LATE, DUPLICATE = 1, 2
PADDING = 158
"""Columns more than a replay needs: rows a multiple of 4 KiB apart share few lines of the cache."""
AHEAD = 2
"""So many events before its turn the whole row for its features is asked for."""
SEEN = 2048
"""A power of two: so many places there are to note the identifiers that a card has had."""


@part
def emit(slots: Ints, numbers: Floats, out: Floats) -> None:
    """Write one feature vector: feature f stands in slot slots[f]."""
    for f in range(len(slots)):
        out[f] = numbers[slots[f]]


@part
def relate(card: Card, start: int, position: int, end: int, is_described: bool) -> None:
    """Link the event remembered at `position`, and take it into the windows."""
    memory, kept, last = card.memory, card.kept, card.last
    if position + 1 == end:
        if is_described:
            link_last(memory, last, position)
        enter(memory, position, last, is_described, kept)
    else:
        if is_described:
            link_all(memory, start, end)
        kept[:, K_END] = layout.MISSING


@part
def windowed(
    card: Card,
    span: tuple[int, int],
    time: int,
    event: Ints,
    plan: Plan,
    numbers: Floats,
    sums: Ints,
) -> None:
    """The numbers of all windows over the visible events, those at `span`'s positions."""
    memory, starts, last = card.memory, card.starts, card.last
    windows, position = plan.windows, span[1]
    own = clamped(event[layout.E_AMOUNT])
    place_windows(memory, span[0], position, time, windows, starts)
    if plan.asked & SAME_MERCHANT:
        same_merchants(memory, starts, position, event[layout.E_MERCHANT], windows, sums)
    for k in range(len(windows)):
        asked, at = windows[k, 1], INSTANTS + k * STATISTICS
        sum_window(card.running, starts[k], position, own, asked, k, sums)
        keep(memory, starts[k], position, asked, card.kept[k])
        order_window(memory, position, own, asked, k, card.kept, sums)
        if asked & NEEDS_APART:
            tell_apart(last, event, k, card.kept, sums)
        counts(sums, k, asked, event, numbers, at)
        shares(sums, k, asked, event, numbers, at)
        if asked & COMPARED:
            comparisons(sums, k, asked, event, numbers, at)


@part
def all_asked(windows: Ints) -> int:
    """The statistics of all windows, as bits."""
    asked = 0
    for k in range(len(windows)):
        asked |= windows[k, 1]
    return asked


@kernel
def fold(
    memory: Ints,
    cursor: Ints,
    event: Ints,
    windows: Ints,
    slots: Ints,
    numbers: Floats,
    sums: Ints,
    out: Floats,
) -> int:
    """`fold_on` for a memory of which nothing else is kept: that is made anew."""
    running = np.empty((RUNNING, layout.ROOM + 2), np.int64)
    starts = np.full(len(windows), cursor[layout.C_END])
    kept = np.full((len(windows), KEPT), layout.MISSING)
    if len(out) > 0:
        add_up(memory, running, cursor[layout.C_START], cursor[layout.C_END])
    card = Card(memory, running, starts, kept, np.empty(LAST, np.int64), np.zeros(2, np.int64))
    plan = Plan(windows, slots, all_asked(windows), True, has_instants(slots))
    return fold_on(card, cursor, event, plan, numbers, sums, out)


@part
def make_way(card: Card, cursor: Ints) -> None:
    """Have room for one more event in the memory."""
    memory, kept = card.memory, card.kept
    if cursor[layout.C_END] == layout.ROOM:
        make_room(memory, cursor)
        add_up(memory, card.running, 0, cursor[layout.C_END])
        kept[:, K_END] = layout.MISSING


@part
def describe(
    card: Card,
    span: tuple[int, int],
    time: int,
    event: Ints,
    plan: Plan,
    numbers: Floats,
    sums: Ints,
    out: Floats,
) -> None:
    """Features of an event that sees the remembered events at `span`'s positions."""
    if plan.has_instants:
        instants(card.memory, card.last, span, time, event, numbers)
    windowed(card, span, time, event, plan, numbers, sums)
    emit(plan.slots, numbers, out)


@part
def may_be_known(seen: Ints, value: int) -> bool:
    """Whether a card may have had an identifier, which it now has; if not there is no search.

    The last number of `seen` is the card's, the others tell which card was there last.
    """
    place, card = value & (len(seen) - 2), seen[len(seen) - 1]
    is_seen: bool = seen[place] == card
    seen[place] = card
    return is_seen


@part
def fold_on(
    card: Card, cursor: Ints, event: Ints, plan: Plan, numbers: Floats, sums: Ints, out: Floats
) -> int:
    """Features of `event` into `out` (skipped when its length is 0), then remember it.

    Returns LATE and DUPLICATE as bits. A duplicate is described but not remembered.
    """
    make_way(card, cursor)
    memory = card.memory
    start, end = cursor[layout.C_START], cursor[layout.C_END]
    clock = memory[layout.M_TIME, end - 1] if end > start else layout.MISSING
    time = max(event[layout.E_TIME], clock - layout.LATENESS)
    status = LATE if time > event[layout.E_TIME] else 0
    first = first_remembered(memory, start, end, max(clock, time))
    position = end
    while position > first and memory[layout.M_TIME, position - 1] > time:
        position -= 1
    own = event[layout.E_ID]
    if may_be_known(card.seen, own) and matches(memory, layout.M_ID, first, end, own) > 0:
        status |= DUPLICATE
    if plan.is_described:
        find_last(memory, first, position, event, card.last)
    if len(out) > 0:
        describe(card, (first, position), time, event, plan, numbers, sums, out)
    if status & DUPLICATE == 0:
        cursor[layout.C_START] = first
        remember(memory, cursor, position, time, event, plan.is_described)
        relate(card, first, position, end + 1, plan.is_described)
        add_up(memory, card.running, position, end + 1)
    return status


@part
def fold_cards(
    card: Card,
    plan: Plan,
    scratch: tuple[Ints, Floats, Ints],
    events: Ints,
    order: Ints,
    bounds: Ints,
    values: Floats,
    statuses: Ints,
) -> None:
    """What `fold_groups` does, in memory that is there."""
    cursor, numbers, sums = scratch
    last = len(order) - 1
    for g in range(len(bounds) - 1):
        cursor[:] = 0
        card.kept[:, K_END] = layout.MISSING
        card.seen[SEEN] = g + 1
        for i in range(bounds[g], bounds[g + 1]):
            prefetched_in_bunches(values, order, i, 0, 0)
            prefetched(values, order[min(i + AHEAD, last)], 0, len(plan.slots) - 1)
            row = order[i]
            statuses[row] = fold_on(card, cursor, events[i], plan, numbers, sums, values[row])


@kernel
def fold_groups(
    events: Ints,
    order: Ints,
    bounds: Ints,
    windows: Ints,
    slots: Ints,
    is_of_amounts: bool,
    values: Floats,
    statuses: Ints,
) -> None:
    """Fold each card's events from an empty memory: of group g events[bounds[g]:bounds[g + 1]].

    The features of event i become row order[i] of `values`.
    """
    memory = np.zeros((layout.MEMORY_WIDTH, layout.ROOM + PADDING), np.int64)
    running = np.zeros((RUNNING, layout.ROOM + PADDING), np.int64)
    starts = np.zeros(len(windows), np.int64)
    kept = np.zeros((len(windows), KEPT), np.int64)
    last, seen = np.zeros(LAST, np.int64), np.zeros(SEEN + 1, np.int64)
    card = Card(memory, running, starts, kept, last, seen)
    plan = Plan(windows, slots, all_asked(windows), not is_of_amounts, has_instants(slots))
    cursor = np.zeros(layout.CURSOR_WIDTH, np.int64)
    numbers = np.zeros(INSTANTS + len(windows) * STATISTICS, np.float64)
    sums = np.zeros((len(windows), layout.ACCUMULATORS), np.int64)
    fold_cards(card, plan, (cursor, numbers, sums), events, order, bounds, values, statuses)
