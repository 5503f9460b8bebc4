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


@part
def clamped(amount: int) -> int:
    """The amount as statistics see it."""
    return min(max(amount, -layout.AMOUNT_CLAMP), layout.AMOUNT_CLAMP)


@part
def scan_windows(
    memory: Ints, first: int, position: int, time: int, event: Ints, windows: Ints, sums: Ints
) -> None:
    """Fill a row of `sums` per window (length, needs) from the events visible in [first, position).

    One pass back in time; the running sums stay in registers and are copied at each window's edge.
    A merchant counts as distinct at its last visible event: its next one is not visible.
    """
    own, merchant = clamped(event[layout.E_AMOUNT]), event[layout.E_MERCHANT]
    device, country = event[layout.E_DEVICE], event[layout.E_COUNTRY]
    total, shifted, squares, largest = 0, 0, 0, own
    smallest, lower, small, same_merchant = layout.NEVER, 0, 0, 0
    merchants, devices, countries, night, online, cash = 0, 0, 0, 0, 0, 0
    start = position
    for k in range(len(windows)):
        end, edge = start, time - windows[k, 0]
        while start > first and memory[layout.M_TIME, start - 1] > edge:
            start -= 1
        for j in range(np.uint64(start), np.uint64(end)):  # unsigned, so that the loop vectorises
            amount, flags = memory[layout.M_AMOUNT, j], memory[layout.M_FLAGS, j]
            other, place = memory[layout.M_DEVICE, j], memory[layout.M_COUNTRY, j]
            is_same = memory[layout.M_MERCHANT, j] == merchant
            distance = amount - own
            total += amount
            shifted += distance
            squares += distance * distance
            largest = max(largest, amount)
            smallest = min(smallest, amount if amount > 0 else layout.NEVER)
            lower += distance < 0
            small += amount < layout.SMALL_AMOUNT
            same_merchant += is_same
            is_last = memory[layout.M_NEXT_MERCHANT, j] >= position
            merchants += is_last & (not is_same)
            is_last = memory[layout.M_NEXT_DEVICE, j] >= position
            devices += is_last & (other != device) & (other != 0)
            is_last = memory[layout.M_NEXT_COUNTRY, j] >= position
            countries += is_last & (place != country) & (place != 0)
            night += flags & 1
            online += (flags >> 1) & 1
            cash += (flags >> 2) & 1
        sums[k, layout.A_COUNT] = position - start
        sums[k, layout.A_SUM] = total
        sums[k, layout.A_SHIFTED] = shifted
        sums[k, layout.A_SHIFTED_SQUARES] = squares
        sums[k, layout.A_MAX] = largest
        sums[k, layout.A_MIN] = smallest
        sums[k, layout.A_LOWER] = lower
        sums[k, layout.A_SMALL] = small
        sums[k, layout.A_SAME_MERCHANT] = same_merchant
        sums[k, layout.A_MERCHANTS] = merchants
        sums[k, layout.A_DEVICES] = devices
        sums[k, layout.A_COUNTRIES] = countries
        sums[k, layout.A_NIGHT] = night
        sums[k, layout.A_ONLINE] = online
        sums[k, layout.A_CASH] = cash


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
