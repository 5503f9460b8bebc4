"""Numbers of an event itself, and of the event against the last ones of its card: `Instant`."""

import math

import numpy as np
from numpy.typing import NDArray

from features import layout
from features.card_memory import L_CATEGORY, L_COUNTRY, L_DEVICE, L_MERCHANT
from features.compiled import part
from features.statistic import INSTANTS

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

EARTH_KM = 6371.0
NAN = math.nan


@part
def distance_km(latitude: int, longitude: int, latitude_2: int, longitude_2: int) -> float:
    """Haversine distance of two places in 1/10,000 degree, on a sphere of 6,371 km."""
    if latitude == latitude_2 and longitude == longitude_2:
        return 0.0
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
def firsts(
    memory: Ints, last: Ints, first: int, position: int, time: int, event: Ints, out: Floats
) -> None:
    """Time since the last event, and what is new to the card; NaN where the event lacks a field."""
    out[14:24] = NAN
    if position > first and memory[layout.M_TIME, position - 1] > time - layout.LONGEST_WINDOW:
        out[14] = (time - memory[layout.M_TIME, position - 1]) / 1000.0
    same = last[L_MERCHANT]
    if same >= 0 and memory[layout.M_TIME, same] > time - layout.LONGEST_WINDOW:
        out[15] = (time - memory[layout.M_TIME, same]) / 1000.0
    out[16] = same < 0
    if event[layout.E_DEVICE] != 0:
        out[17] = last[L_DEVICE] < 0
    if event[layout.E_COUNTRY] != 0:
        out[18] = last[L_COUNTRY] < 0
    if event[layout.E_CATEGORY] != 0:
        out[19] = last[L_CATEGORY] < 0
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
def has_instants(slots: Ints) -> bool:
    """Whether any feature is one of `Instant`; in whole sets the first one is."""
    f = 0
    while f < len(slots) and slots[f] >= INSTANTS:
        f += 1
    return f < len(slots)


@part
def instants(
    memory: Ints, last: Ints, span: tuple[int, int], time: int, event: Ints, numbers: Floats
) -> None:
    """The numbers of the event, and of the event against the last ones."""
    own_numbers(event, numbers)
    firsts(memory, last, span[0], span[1], time, event, numbers)
    movement(memory, span[0], span[1], time, event, numbers)
