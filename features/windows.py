"""Windows of one event: integer sums over the visible past, and the statistics made from them."""

import math

import numpy as np
from numpy.typing import NDArray

from features import layout
from features.card_memory import L_COUNTRY, L_DEVICE, L_MERCHANT, clamped
from features.compiled import part
from features.statistic import Windowed, as_bits

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

NAN = math.nan
R_TOTAL, R_SQUARES, R_MARKS = range(3)
"""Rows of running sums: amounts, their squares, and four counts in one word."""
RUNNING = 3
AT_NIGHT, AT_ONLINE, AT_CASH, AT_SMALL = 0, 16, 32, 48
K_START, K_END, K_MERCHANTS, K_DEVICES, K_COUNTRIES, K_LARGEST, K_SMALLEST = range(7)
"""Kept of a window from one event to the next: the events [start, end) that it is about; distinct
values among them; where the last ones of their largest and of their smallest positive amount stand,
-1 where there is none."""
KEPT = 7
MEAN, STD = as_bits(Windowed.MEAN), as_bits(Windowed.STD)
NIGHT_SHARE, NIGHT_SURPRISE = as_bits(Windowed.NIGHT_SHARE), as_bits(Windowed.NIGHT_SURPRISE)
RANK, SAME_MERCHANT = as_bits(Windowed.RANK), as_bits(Windowed.COUNT_SAME_MERCHANT)
RATIO_TO_MIN, RATIO_TO_MEAN = as_bits(Windowed.RATIO_TO_MIN), as_bits(Windowed.RATIO_TO_MEAN)
Z_SCORE, NEEDS_LARGEST = as_bits(Windowed.Z_SCORE), as_bits(Windowed.MAX)
NEEDS_APART = as_bits(Windowed.MERCHANTS, Windowed.DEVICES, Windowed.COUNTRIES)
NEEDS_SQUARES = STD | Z_SCORE
NEEDS_MARKS = NIGHT_SHARE | NIGHT_SURPRISE
NEEDS_MARKS |= as_bits(Windowed.COUNT_ONLINE, Windowed.COUNT_CASH, Windowed.COUNT_SMALL)
COMPARED = RATIO_TO_MEAN | Z_SCORE | RANK | NIGHT_SURPRISE
MARK = (1 << 16) - 1
"""A count of remembered events fits in so many bits: there is room for `layout.ROOM` of them."""


@part
def add_up(memory: Ints, running: Ints, start: int, end: int) -> None:
    """Continue the running sums over the remembered events [start, end).

    Column j of `running` holds the sums before event j, so a difference of two is one of a window,
    whatever the first one holds.
    """
    for j in range(start, end):
        amount, flags = memory[layout.M_AMOUNT, j], memory[layout.M_FLAGS, j]
        night, online, cash = flags & 1, (flags >> 1) & 1, (flags >> 2) & 1
        small = np.int64(amount < layout.SMALL_AMOUNT)
        marks = (
            (night << AT_NIGHT) | (online << AT_ONLINE) | (cash << AT_CASH) | (small << AT_SMALL)
        )
        running[R_TOTAL, j + 1] = running[R_TOTAL, j] + amount
        running[R_SQUARES, j + 1] = running[R_SQUARES, j] + amount * amount
        running[R_MARKS, j + 1] = running[R_MARKS, j] + marks


@part
def place_windows(
    memory: Ints, first: int, position: int, time: int, windows: Ints, starts: Ints
) -> None:
    """Where in [first, position] each window begins; the closer `starts` is, the quicker."""
    for k in range(len(windows)):
        edge, start = time - windows[k, 0], min(max(starts[k], first), position)
        while start > first and memory[layout.M_TIME, start - 1] > edge:
            start -= 1
        while start < position and memory[layout.M_TIME, start] <= edge:
            start += 1
        starts[k] = start


@part
def sum_window(
    running: Ints, start: int, position: int, own: int, asked: int, k: int, sums: Ints
) -> None:
    """What adds up, as the difference of two running sums; `own` is the event's limited amount.

    All sums fit 64 bits, so the squares of distances are exact however they are made.
    """
    count = position - start
    total = running[R_TOTAL, position] - running[R_TOTAL, start]
    sums[k, layout.A_COUNT] = count
    sums[k, layout.A_SUM] = total
    if asked & NEEDS_SQUARES:
        squares = running[R_SQUARES, position] - running[R_SQUARES, start]
        sums[k, layout.A_SHIFTED] = total - count * own
        sums[k, layout.A_SHIFTED_SQUARES] = squares - 2 * own * total + count * own * own
    if asked & NEEDS_MARKS:
        marks = running[R_MARKS, position] - running[R_MARKS, start]
        sums[k, layout.A_NIGHT] = (marks >> AT_NIGHT) & MARK
        sums[k, layout.A_ONLINE] = (marks >> AT_ONLINE) & MARK
        sums[k, layout.A_CASH] = (marks >> AT_CASH) & MARK
        sums[k, layout.A_SMALL] = (marks >> AT_SMALL) & MARK


@part
def matches(memory: Ints, row: int, first: int, end: int, value: int) -> int:
    """How many events in [first, end) hold `value`."""
    found = 0
    for j in range(np.uint64(first), np.uint64(end)):  # unsigned, so that the loop vectorises
        found += memory[row, j] == value
    return found


@part
def same_merchants(
    memory: Ints, starts: Ints, position: int, merchant: int, windows: Ints, sums: Ints
) -> None:
    """Events at the event's own merchant, window by window back in time."""
    found, end = 0, position
    for k in range(len(starts)):
        if windows[k, 1] & SAME_MERCHANT:
            found += matches(memory, layout.M_MERCHANT, starts[k], end, merchant)
            end = starts[k]
            sums[k, layout.A_SAME_MERCHANT] = found


@part
def count_last(memory: Ints, start: int, end: int, position: int, sign: int, kept: Ints) -> None:
    """Add, or take away, what is distinct in [start, end): the last ones before `position`."""
    merchants, devices, countries = 0, 0, 0
    for j in range(np.uint64(start), np.uint64(end)):  # unsigned: the loop vectorises
        merchants += memory[layout.M_NEXT_MERCHANT, j] >= position
        is_last = memory[layout.M_NEXT_DEVICE, j] >= position
        devices += is_last & (memory[layout.M_DEVICE, j] != 0)
        is_last = memory[layout.M_NEXT_COUNTRY, j] >= position
        countries += is_last & (memory[layout.M_COUNTRY, j] != 0)
    kept[K_MERCHANTS] += sign * merchants
    kept[K_DEVICES] += sign * devices
    kept[K_COUNTRIES] += sign * countries


@part
def find_largest(memory: Ints, start: int, position: int) -> int:
    """The last position in [start, position) of their largest amount, or -1."""
    found = -1
    for j in range(start, position):
        if found < 0 or memory[layout.M_AMOUNT, j] >= memory[layout.M_AMOUNT, found]:
            found = j
    return found


@part
def find_smallest(memory: Ints, start: int, position: int) -> int:
    """The last position in [start, position) of their smallest positive amount, or -1."""
    found = -1
    for j in range(start, position):
        amount = memory[layout.M_AMOUNT, j]
        if amount > 0 and (found < 0 or amount <= memory[layout.M_AMOUNT, found]):
            found = j
    return found


@part
def keep(memory: Ints, start: int, position: int, asked: int, kept: Ints) -> None:
    """Make `kept` what it is of the events [start, position): by what has left them, or anew."""
    is_near = kept[K_END] == position and kept[K_START] <= start
    if asked & NEEDS_APART:
        if is_near:
            count_last(memory, kept[K_START], start, position, -1, kept)
        else:
            kept[K_MERCHANTS], kept[K_DEVICES], kept[K_COUNTRIES] = 0, 0, 0
            count_last(memory, start, position, position, 1, kept)
    if asked & NEEDS_LARGEST and not (is_near and kept[K_LARGEST] >= start):
        kept[K_LARGEST] = find_largest(memory, start, position)
    if asked & RATIO_TO_MIN and not (is_near and kept[K_SMALLEST] >= start):
        kept[K_SMALLEST] = find_smallest(memory, start, position)
    kept[K_START], kept[K_END] = start, position


@part
def enter_apart(memory: Ints, position: int, last: Ints, kept: Ints) -> None:
    """Count the event at `position` where none of the window has its merchant, device, country."""
    start = kept[K_START]
    has_device = memory[layout.M_DEVICE, position] != 0
    has_country = memory[layout.M_COUNTRY, position] != 0
    kept[K_MERCHANTS] += last[L_MERCHANT] < start
    kept[K_DEVICES] += has_device & (last[L_DEVICE] < start)
    kept[K_COUNTRIES] += has_country & (last[L_COUNTRY] < start)


@part
def enter(memory: Ints, position: int, last: Ints, is_described: bool, kept: Ints) -> None:
    """Take the event that is now remembered at `position` into the windows that end before it."""
    amount = memory[layout.M_AMOUNT, position]
    for k in range(len(kept)):
        if kept[k, K_END] != position:
            continue
        start, largest, smallest = kept[k, K_START], kept[k, K_LARGEST], kept[k, K_SMALLEST]
        if is_described:
            enter_apart(memory, position, last, kept[k])
        if largest < start or amount >= memory[layout.M_AMOUNT, largest]:
            kept[k, K_LARGEST] = position
        if amount > 0 and (smallest < start or amount <= memory[layout.M_AMOUNT, smallest]):
            kept[k, K_SMALLEST] = position
        kept[k, K_END] = position + 1


@part
def order_window(
    memory: Ints, position: int, own: int, asked: int, k: int, kept: Ints, sums: Ints
) -> None:
    """Largest amount, the own one included, smallest and lower amounts of window `k`."""
    largest, smallest = kept[k, K_LARGEST], kept[k, K_SMALLEST]
    sums[k, layout.A_MAX], sums[k, layout.A_MIN] = own, layout.NEVER
    if asked & NEEDS_LARGEST and largest >= 0:
        sums[k, layout.A_MAX] = max(own, memory[layout.M_AMOUNT, largest])
    if asked & RATIO_TO_MIN and smallest >= 0:
        sums[k, layout.A_MIN] = memory[layout.M_AMOUNT, smallest]
    if asked & RANK:
        lower = 0
        for j in range(np.uint64(kept[k, K_START]), np.uint64(position)):  # it vectorises
            lower += memory[layout.M_AMOUNT, j] < own
        sums[k, layout.A_LOWER] = lower


@part
def tell_apart(last: Ints, event: Ints, k: int, kept: Ints, sums: Ints) -> None:
    """Other merchants, devices and countries than the event's; `last` is where its own are.

    One counts as distinct at its last visible event: its next one is not visible.
    """
    start = kept[k, K_START]
    sums[k, layout.A_MERCHANTS] = kept[k, K_MERCHANTS] - (last[L_MERCHANT] >= start)
    is_own = (event[layout.E_DEVICE] != 0) & (last[L_DEVICE] >= start)
    sums[k, layout.A_DEVICES] = kept[k, K_DEVICES] - is_own
    is_own = (event[layout.E_COUNTRY] != 0) & (last[L_COUNTRY] >= start)
    sums[k, layout.A_COUNTRIES] = kept[k, K_COUNTRIES] - is_own


@part
def deviation(count: int, shifted: int, squares: int) -> float:
    """Population standard deviation from sums of amounts shifted by a common amount."""
    mean = shifted / count
    return math.sqrt(max(squares / count - mean * mean, 0.0))


@part
def counts(sums: Ints, k: int, asked: int, event: Ints, out: Floats, at: int) -> None:
    """The statistics of window `k` that count or add; this event is one of its own window."""
    flags, amount = event[layout.E_FLAGS], clamped(event[layout.E_AMOUNT])
    out[at + 0] = sums[k, layout.A_COUNT] + 1
    out[at + 1] = sums[k, layout.A_SUM] + amount
    out[at + 3] = sums[k, layout.A_MAX]
    if asked & NEEDS_APART:
        out[at + 5] = sums[k, layout.A_MERCHANTS] + 1
        out[at + 6] = sums[k, layout.A_DEVICES] + (event[layout.E_DEVICE] != 0)
        out[at + 7] = sums[k, layout.A_COUNTRIES] + (event[layout.E_COUNTRY] != 0)
    if asked & NEEDS_MARKS:
        out[at + 9] = sums[k, layout.A_ONLINE] + ((flags >> 1) & 1)
        out[at + 10] = sums[k, layout.A_CASH] + ((flags >> 2) & 1)
        out[at + 11] = sums[k, layout.A_SMALL] + (amount < layout.SMALL_AMOUNT)
    if asked & SAME_MERCHANT:
        out[at + 12] = sums[k, layout.A_SAME_MERCHANT] + 1


@part
def shares(sums: Ints, k: int, asked: int, event: Ints, out: Floats, at: int) -> None:
    """The statistics of window `k`, this event included, that divide: those that are asked for."""
    amount = clamped(event[layout.E_AMOUNT])
    number, total = sums[k, layout.A_COUNT] + 1, sums[k, layout.A_SUM] + amount
    if asked & MEAN:
        out[at + 2] = total / number
    if asked & STD:
        squares = sums[k, layout.A_SHIFTED_SQUARES]
        out[at + 4] = deviation(number, sums[k, layout.A_SHIFTED], squares)
    if asked & NIGHT_SHARE:
        out[at + 8] = (sums[k, layout.A_NIGHT] + (event[layout.E_FLAGS] & 1)) / number
    if asked & RATIO_TO_MIN:
        smallest = sums[k, layout.A_MIN]
        out[at + 16] = amount / smallest if smallest != layout.NEVER else NAN


@part
def comparisons(sums: Ints, k: int, asked: int, event: Ints, out: Floats, at: int) -> None:
    """The amount and hour against the earlier events of window `k`; NaN where there are none."""
    amount = clamped(event[layout.E_AMOUNT])
    prior, total = sums[k, layout.A_COUNT], sums[k, layout.A_SUM]
    for place in (13, 14, 15, 17):
        out[at + place] = NAN
    if prior == 0:
        return
    if asked & RATIO_TO_MEAN and total > 0:
        out[at + 13] = amount * prior / total
    if asked & Z_SCORE:
        shifted = sums[k, layout.A_SHIFTED]
        width = deviation(prior, shifted, sums[k, layout.A_SHIFTED_SQUARES])
        if width > 0.0:
            out[at + 14] = -(shifted / prior) / width
    if asked & RANK:
        out[at + 15] = sums[k, layout.A_LOWER] / prior
    if asked & NIGHT_SURPRISE:
        at_night = event[layout.E_FLAGS] & 1
        out[at + 17] = 1.0 - sums[k, layout.A_NIGHT] / prior if at_night else 0.0
