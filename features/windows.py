"""Windows of one event: integer sums over the visible past, and the statistics made from them."""

import math

import numpy as np
from numpy.typing import NDArray

from features import layout
from features.compiled import part

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Integer = int | np.int64

NAN = math.nan
R_TOTAL, R_SQUARES, R_MARKS = range(3)
"""Rows of running sums: amounts, their squares, and four counts in one word."""
RUNNING = 3
AT_NIGHT, AT_ONLINE, AT_CASH, AT_SMALL = 0, 16, 32, 48
MARK = (1 << 16) - 1
"""A count of remembered events fits in so many bits: there is room for `layout.ROOM` of them."""


@part
def clamped(amount: int) -> int:
    """The amount as statistics see it."""
    return min(max(amount, -layout.AMOUNT_CLAMP), layout.AMOUNT_CLAMP)


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
def sum_windows(running: Ints, starts: Ints, position: int, own: int, sums: Ints) -> None:
    """What adds up, as the difference of two running sums; `own` is the event's limited amount.

    All sums fit 64 bits, so the squares of distances are exact however they are made.
    """
    for k in range(len(starts)):
        start = starts[k]
        count = position - start
        total = running[R_TOTAL, position] - running[R_TOTAL, start]
        squares = running[R_SQUARES, position] - running[R_SQUARES, start]
        marks = running[R_MARKS, position] - running[R_MARKS, start]
        sums[k, layout.A_COUNT] = count
        sums[k, layout.A_SUM] = total
        sums[k, layout.A_SHIFTED] = total - count * own
        sums[k, layout.A_SHIFTED_SQUARES] = squares - 2 * own * total + count * own * own
        sums[k, layout.A_NIGHT] = (marks >> AT_NIGHT) & MARK
        sums[k, layout.A_ONLINE] = (marks >> AT_ONLINE) & MARK
        sums[k, layout.A_CASH] = (marks >> AT_CASH) & MARK
        sums[k, layout.A_SMALL] = (marks >> AT_SMALL) & MARK


@part
def order_windows(memory: Ints, starts: Ints, position: int, own: int, sums: Ints) -> None:
    """Largest, smallest and lower amounts, window by window back in time."""
    largest, smallest, lower = own, layout.NEVER, 0
    end = position
    for k in range(len(starts)):
        for j in range(np.uint64(starts[k]), np.uint64(end)):  # unsigned: the loop vectorises
            amount = memory[layout.M_AMOUNT, j]
            largest = max(largest, amount)
            smallest = min(smallest, amount if amount > 0 else layout.NEVER)
            lower += amount < own
        end = starts[k]
        sums[k, layout.A_MAX] = largest
        sums[k, layout.A_MIN] = smallest
        sums[k, layout.A_LOWER] = lower


@part
def tell_apart(memory: Ints, starts: Ints, position: int, event: Ints, sums: Ints) -> None:
    """Other merchants, devices and countries than the event's, and events at its own merchant.

    One counts as distinct at its last visible event: its next one is not visible.
    """
    merchant, device = event[layout.E_MERCHANT], event[layout.E_DEVICE]
    country = event[layout.E_COUNTRY]
    merchants, devices, countries, same_merchant = 0, 0, 0, 0
    end = position
    for k in range(len(starts)):
        for j in range(np.uint64(starts[k]), np.uint64(end)):  # unsigned: the loop vectorises
            other, place = memory[layout.M_DEVICE, j], memory[layout.M_COUNTRY, j]
            is_same = memory[layout.M_MERCHANT, j] == merchant
            same_merchant += is_same
            is_last = memory[layout.M_NEXT_MERCHANT, j] >= position
            merchants += is_last & (not is_same)
            is_last = memory[layout.M_NEXT_DEVICE, j] >= position
            devices += is_last & (other != device) & (other != 0)
            is_last = memory[layout.M_NEXT_COUNTRY, j] >= position
            countries += is_last & (place != country) & (place != 0)
        end = starts[k]
        sums[k, layout.A_SAME_MERCHANT] = same_merchant
        sums[k, layout.A_MERCHANTS] = merchants
        sums[k, layout.A_DEVICES] = devices
        sums[k, layout.A_COUNTRIES] = countries


@part
def deviation(count: int, shifted: int, squares: int) -> float:
    """Population standard deviation from sums of amounts shifted by a common amount."""
    mean = shifted / count
    return math.sqrt(max(squares / count - mean * mean, 0.0))


@part
def counts(sums: Ints, k: int, event: Ints, out: Floats, at: int) -> None:
    """The statistics of window `k` that count or add; this event is one of its own window."""
    flags, amount = event[layout.E_FLAGS], clamped(event[layout.E_AMOUNT])
    number = sums[k, layout.A_COUNT] + 1
    total = sums[k, layout.A_SUM] + amount
    night = sums[k, layout.A_NIGHT] + (flags & 1)
    out[at + 0] = number
    out[at + 1] = total
    out[at + 2] = total / number
    out[at + 3] = sums[k, layout.A_MAX]
    out[at + 5] = sums[k, layout.A_MERCHANTS] + 1
    out[at + 6] = sums[k, layout.A_DEVICES] + (event[layout.E_DEVICE] != 0)
    out[at + 7] = sums[k, layout.A_COUNTRIES] + (event[layout.E_COUNTRY] != 0)
    out[at + 8] = night / number
    out[at + 9] = sums[k, layout.A_ONLINE] + ((flags >> 1) & 1)
    out[at + 10] = sums[k, layout.A_CASH] + ((flags >> 2) & 1)
    out[at + 11] = sums[k, layout.A_SMALL] + (amount < layout.SMALL_AMOUNT)
    out[at + 12] = sums[k, layout.A_SAME_MERCHANT] + 1
    smallest = sums[k, layout.A_MIN]
    out[at + 16] = amount / smallest if smallest != layout.NEVER else NAN


@part
def spread(sums: Ints, k: int, out: Floats, at: int) -> None:
    """The standard deviation of the amounts in window `k`."""
    number = sums[k, layout.A_COUNT] + 1
    out[at + 4] = deviation(number, sums[k, layout.A_SHIFTED], sums[k, layout.A_SHIFTED_SQUARES])


@part
def comparisons(sums: Ints, k: int, event: Ints, out: Floats, at: int) -> None:
    """The amount and hour against the earlier events of window `k`; NaN where there are none."""
    amount = clamped(event[layout.E_AMOUNT])
    prior, total = sums[k, layout.A_COUNT], sums[k, layout.A_SUM]
    for place in (13, 14, 15, 17):
        out[at + place] = NAN
    if prior == 0:
        return
    if total > 0:
        out[at + 13] = amount * prior / total
    shifted = sums[k, layout.A_SHIFTED]
    width = deviation(prior, shifted, sums[k, layout.A_SHIFTED_SQUARES])
    if width > 0.0:
        out[at + 14] = -(shifted / prior) / width
    out[at + 15] = sums[k, layout.A_LOWER] / prior
    at_night = event[layout.E_FLAGS] & 1
    out[at + 17] = 1.0 - sums[k, layout.A_NIGHT] / prior if at_night else 0.0
