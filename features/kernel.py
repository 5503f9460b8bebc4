"""The fold: one event against what its card remembers, in integers.

A batch call equals any sequence of smaller ones bit for bit, because every feature is computed
from the remembered events themselves, and every mean is one division at the end.
"""

import math

import numpy as np
from numpy.typing import NDArray

from features import layout
from features.compiled import kernel, part, prefetched
from features.statistic import (
    INSTANTS,
    NEEDS_APART,
    NEEDS_COMPARISONS,
    NEEDS_ORDER,
    NEEDS_SPREAD,
    STATISTICS,
)
from features.windows import (
    RUNNING,
    add_up,
    clamped,
    comparisons,
    counts,
    order_windows,
    place_windows,
    spread,
    sum_windows,
    tell_apart,
)

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

LATE, DUPLICATE = 1, 2
EARTH_KM = 6371.0
PADDING = 158
"""Columns more than a replay needs: rows a multiple of 4 KiB apart share few lines of the cache."""
NAN = math.nan


@part
def first_remembered(memory: Ints, start: int, end: int, clock: int) -> int:
    """Position of the first event that is still remembered when the card's clock is `clock`."""
    oldest_hour = clock // layout.HOUR - layout.MEMORY_HOURS
    while start < end and memory[layout.M_TIME, start] // layout.HOUR <= oldest_hour:
        start += 1
    return start


@part
def is_known(memory: Ints, row: int, first: int, end: int, value: int) -> bool:
    """Does a remembered event in [first, end) hold `value`?"""
    matches = 0
    for j in range(np.uint64(first), np.uint64(end)):  # unsigned, so that the loop vectorises
        matches += memory[row, j] == value
    return matches > 0


@part
def last_position(memory: Ints, row: int, first: int, end: int, value: int) -> int:
    """Position of the last event in [first, end) that holds `value`, or -1."""
    for j in range(end - 1, first - 1, -1):
        if memory[row, j] == value:
            return j
    return -1


@part
def distance_km(latitude: int, longitude: int, latitude_2: int, longitude_2: int) -> float:
    """Haversine distance of two places in 1/10,000 degree, on a sphere of 6,371 km."""
    unit = math.pi / 1_800_000.0
    half_lat = math.sin((latitude_2 - latitude) * unit / 2.0)
    half_lon = math.sin((longitude_2 - longitude) * unit / 2.0)
    cosines = math.cos(latitude * unit) * math.cos(latitude_2 * unit)
    chord = half_lat * half_lat + cosines * half_lon * half_lon
    return 2.0 * EARTH_KM * math.asin(math.sqrt(min(chord, 1.0)))


@part
def own_numbers(event: Ints, out: Floats) -> None:
    """The numbers that need no memory; positions are those of `Instant`."""
    amount, flags, local = event[layout.E_AMOUNT], event[layout.E_FLAGS], event[layout.E_LOCAL]
    weekday = (local // layout.DAY + 3) % 7
    out[0] = amount
    out[1] = amount < 0
    out[2] = amount % 100 == 0
    out[3] = amount % 1000 == 0
    out[4] = local % layout.DAY // layout.HOUR
    out[5] = weekday
    out[6] = weekday >= 5
    out[7] = flags & layout.FLAG_NIGHT
    out[8] = (flags & layout.FLAG_HOLIDAY) != 0
    out[9] = (flags & layout.FLAG_ONLINE) != 0
    out[10] = (flags & layout.FLAG_CONTACTLESS) != 0
    out[11] = (flags & layout.FLAG_ATM) != 0
    out[12] = event[layout.E_CATEGORY] if event[layout.E_CATEGORY] != 0 else NAN
    out[13] = (flags & layout.FLAG_CASH) != 0


@part
def firsts(memory: Ints, first: int, position: int, time: int, event: Ints, out: Floats) -> None:
    """Time since the last event, and what is new to the card; NaN where the event lacks a field."""
    out[14:24] = NAN
    if position > first and memory[layout.M_TIME, position - 1] > time - layout.LONGEST_WINDOW:
        out[14] = (time - memory[layout.M_TIME, position - 1]) / 1000.0
    same = last_position(memory, layout.M_MERCHANT, first, position, event[layout.E_MERCHANT])
    if same >= 0 and memory[layout.M_TIME, same] > time - layout.LONGEST_WINDOW:
        out[15] = (time - memory[layout.M_TIME, same]) / 1000.0
    out[16] = same < 0
    if event[layout.E_DEVICE] != 0:
        out[17] = (
            last_position(memory, layout.M_DEVICE, first, position, event[layout.E_DEVICE]) < 0
        )
    if event[layout.E_COUNTRY] != 0:
        out[18] = (
            last_position(memory, layout.M_COUNTRY, first, position, event[layout.E_COUNTRY]) < 0
        )
    if event[layout.E_CATEGORY] != 0:
        out[19] = (
            last_position(memory, layout.M_CATEGORY, first, position, event[layout.E_CATEGORY]) < 0
        )
    out[23] = 0.0
    if position > first:
        out[23] = (time // layout.HOUR - memory[layout.M_TIME, first] // layout.HOUR) / 24.0


@part
def movement(memory: Ints, first: int, position: int, time: int, event: Ints, out: Floats) -> None:
    """Distance and speed from the last place within 7 days, and a change of country."""
    for j in range(position - 1, first - 1, -1):
        if (
            memory[layout.M_TIME, j] <= time - layout.PLACE_MEMORY
            or event[layout.E_LATITUDE] == layout.MISSING
        ):
            break
        if memory[layout.M_LATITUDE, j] != layout.MISSING:
            apart = distance_km(
                memory[layout.M_LATITUDE, j],
                memory[layout.M_LONGITUDE, j],
                event[layout.E_LATITUDE],
                event[layout.E_LONGITUDE],
            )
            out[20] = apart
            out[21] = apart * 3_600_000.0 / max(time - memory[layout.M_TIME, j], 60_000)
            break
    for j in range(position - 1, first - 1, -1):
        if event[layout.E_COUNTRY] == 0:
            break
        if memory[layout.M_COUNTRY, j] != 0:
            out[22] = memory[layout.M_COUNTRY, j] != event[layout.E_COUNTRY]
            break


@part
def emit(slots: Ints, numbers: Floats, out: Floats) -> None:
    """Write one feature vector: feature f stands in slot slots[f]."""
    for f in range(len(slots)):
        out[f] = numbers[slots[f]]


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
def link_last(memory: Ints, start: int, position: int) -> None:
    """The event at the end of the memory becomes the next one of those it equals."""
    for row in range(layout.M_MERCHANT, layout.M_COUNTRY + 1):
        following = row - layout.M_MERCHANT + layout.M_NEXT_MERCHANT
        memory[following, position] = layout.NEVER
        before = last_position(memory, row, start, position, memory[row, position])
        if before >= 0:
            memory[following, before] = position


@part
def remember(memory: Ints, cursor: Ints, position: int, time: int, event: Ints) -> None:
    """Insert the event at `position` (absolute), in order of effective time, then of offset."""
    start, end = cursor[layout.C_START], cursor[layout.C_END]
    for j in range(end, position, -1):
        for row in range(layout.M_NEXT_MERCHANT):
            memory[row, j] = memory[row, j - 1]
    memory[layout.M_TIME, position] = time
    memory[layout.M_AMOUNT, position] = clamped(event[layout.E_AMOUNT])
    memory[layout.M_ID, position] = event[layout.E_ID]
    memory[layout.M_MERCHANT, position] = event[layout.E_MERCHANT]
    memory[layout.M_DEVICE, position] = event[layout.E_DEVICE]
    memory[layout.M_COUNTRY, position] = event[layout.E_COUNTRY]
    memory[layout.M_CATEGORY, position] = event[layout.E_CATEGORY]
    memory[layout.M_LATITUDE, position] = event[layout.E_LATITUDE]
    memory[layout.M_LONGITUDE, position] = event[layout.E_LONGITUDE]
    memory[layout.M_FLAGS, position] = event[layout.E_FLAGS] & layout.REMEMBERED_FLAGS
    cursor[layout.C_END] = end + 1
    if position == end:
        link_last(memory, start, position)
    else:
        link_all(memory, start, end + 1)
    if end + 1 - start > layout.CAP:
        cursor[layout.C_START] = start + 1
        cursor[layout.C_CAPPED] += 1


@part
def has_instants(slots: Ints) -> bool:
    """Whether any feature is one of `Instant`; in whole sets the first one is."""
    f = 0
    while f < len(slots) and slots[f] >= INSTANTS:
        f += 1
    return f < len(slots)


@part
def instants(
    memory: Ints, first: int, position: int, time: int, event: Ints, numbers: Floats
) -> None:
    """The numbers of the event, and of the event against the last ones."""
    own_numbers(event, numbers)
    firsts(memory, first, position, time, event, numbers)
    movement(memory, first, position, time, event, numbers)


@part
def windowed(
    memory: Ints,
    running: Ints,
    starts: Ints,
    span: tuple[int, int],
    time: int,
    event: Ints,
    windows: Ints,
    numbers: Floats,
    sums: Ints,
) -> None:
    """The numbers of all windows over the visible events, those at `span`'s positions."""
    own, wanted = clamped(event[layout.E_AMOUNT]), 0
    for k in range(len(windows)):
        wanted |= windows[k, 1]
    place_windows(memory, span[0], span[1], time, windows, starts)
    sum_windows(running, starts, span[1], own, sums)
    if wanted & NEEDS_ORDER:
        order_windows(memory, starts, span[1], own, sums)
    if wanted & NEEDS_APART:
        tell_apart(memory, starts, span[1], event, sums)
    for k in range(len(windows)):
        at = INSTANTS + k * STATISTICS
        counts(sums, k, event, numbers, at)
        if windows[k, 1] & NEEDS_SPREAD:
            spread(sums, k, numbers, at)
        if windows[k, 1] & NEEDS_COMPARISONS:
            comparisons(sums, k, event, numbers, at)


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
    """`fold_on` for a memory of which no running sums are kept: they are made anew."""
    running = np.empty((RUNNING, layout.ROOM + 2), np.int64)
    starts = np.full(len(windows), cursor[layout.C_END])
    if len(out) > 0:
        add_up(memory, running, cursor[layout.C_START], cursor[layout.C_END])
    return fold_on(memory, running, starts, cursor, event, windows, slots, numbers, sums, out)


@part
def fold_on(
    memory: Ints,
    running: Ints,
    starts: Ints,
    cursor: Ints,
    event: Ints,
    windows: Ints,
    slots: Ints,
    numbers: Floats,
    sums: Ints,
    out: Floats,
) -> int:
    """Features of `event` into `out` (skipped when its length is 0), then remember it.

    `running` holds the sums of the memory, `starts` where windows began before. Returns LATE and
    DUPLICATE as bits. A duplicate is described but not remembered.
    """
    if cursor[layout.C_END] == layout.ROOM:
        make_room(memory, cursor)
        add_up(memory, running, 0, cursor[layout.C_END])
    start, end = cursor[layout.C_START], cursor[layout.C_END]
    clock = memory[layout.M_TIME, end - 1] if end > start else layout.MISSING
    time = max(event[layout.E_TIME], clock - layout.LATENESS)
    status = LATE if time > event[layout.E_TIME] else 0
    first = first_remembered(memory, start, end, max(clock, time))
    position = end
    while position > first and memory[layout.M_TIME, position - 1] > time:
        position -= 1
    if is_known(memory, layout.M_ID, first, end, event[layout.E_ID]):
        status |= DUPLICATE
    if len(out) > 0:
        if has_instants(slots):
            instants(memory, first, position, time, event, numbers)
        span = (first, position)
        windowed(memory, running, starts, span, time, event, windows, numbers, sums)
        emit(slots, numbers, out)
    if status & DUPLICATE == 0:
        cursor[layout.C_START] = first
        remember(memory, cursor, position, time, event)
        add_up(memory, running, position, cursor[layout.C_END])
    return status


@part
def fold_cards(
    scratch: tuple[Ints, Ints, Ints, Ints, Floats, Ints],
    events: Ints,
    order: Ints,
    bounds: Ints,
    windows: Ints,
    slots: Ints,
    values: Floats,
    statuses: Ints,
) -> None:
    """What `fold_groups` does, in memory that is there."""
    memory, running, starts, cursor, numbers, sums = scratch
    for g in range(len(bounds) - 1):
        cursor[:] = 0
        for i in range(bounds[g], bounds[g + 1]):
            row = order[i]
            if i + 1 < len(order):
                prefetched(values, order[i + 1], 0, len(slots) - 1)
                prefetched(events, order[i + 1], 0, layout.EVENT_WIDTH - 1)
            statuses[row] = fold_on(
                memory,
                running,
                starts,
                cursor,
                events[row],
                windows,
                slots,
                numbers,
                sums,
                values[row],
            )


@kernel
def fold_groups(
    events: Ints,
    order: Ints,
    bounds: Ints,
    windows: Ints,
    slots: Ints,
    values: Floats,
    statuses: Ints,
) -> None:
    """Fold each card's events from an empty memory; group g is order[bounds[g]:bounds[g + 1]]."""
    memory = np.zeros((layout.MEMORY_WIDTH, layout.ROOM + PADDING), np.int64)
    running = np.zeros((RUNNING, layout.ROOM + PADDING), np.int64)
    starts = np.zeros(len(windows), np.int64)
    cursor = np.zeros(layout.CURSOR_WIDTH, np.int64)
    numbers = np.zeros(INSTANTS + len(windows) * STATISTICS, np.float64)
    sums = np.zeros((len(windows), layout.ACCUMULATORS), np.int64)
    scratch = (memory, running, starts, cursor, numbers, sums)
    fold_cards(scratch, events, order, bounds, windows, slots, values, statuses)
