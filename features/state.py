"""A card's stored state: a base below the committed offset, and the events after it.

Bytes: last offset (8, most significant first, so that a store can compare two states without
reading them), then as variable-length integers the layout version, the base's last offset + 1,
the count of events lost to the cap, the numbers of remembered and of tail events; then these.
The features at any offset from the committed one on can be computed again from it.
"""

import numpy as np
from numpy.typing import NDArray

from features import layout
from features.compiled import kernel
from features.kernel import fold, link_all
from features.packing import (
    EVENT_BYTES,
    get_events,
    get_fixed,
    get_memory,
    get_varint,
    grown,
    put_events,
    put_fixed,
    put_memory,
    put_varint,
)
from features.statistic import INSTANTS

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

HEADER_BYTES = 64
OFFSET_BYTES = 8
OK, AHEAD, FOREIGN = 0, 1, 2
"""Outcome of a batch: fine; a state holds more than may be replayed; a state of another layout."""


@kernel
def get_header(data: Bytes, at: int) -> tuple[Ints, int]:
    """Last offset, version, base's last offset, capped, remembered, tail; and the next position."""
    header = np.empty(6, dtype=np.int64)
    header[0], at = get_fixed(data, at, OFFSET_BYTES)
    for field in range(1, 6):
        header[field], at = get_varint(data, at)
    header[2] -= 1
    return header, at


@kernel
def put_header(data: Bytes, at: int, last: int, base_last: int, cursor: Ints, tail: int) -> int:
    """Write what `get_header` reads."""
    at = put_fixed(data, at, last, OFFSET_BYTES)
    at = put_varint(data, at, layout.LAYOUT_VERSION)
    at = put_varint(data, at, base_last + 1)
    at = put_varint(data, at, cursor[layout.C_CAPPED])
    at = put_varint(data, at, cursor[layout.C_END] - cursor[layout.C_START])
    return put_varint(data, at, tail)


@kernel
def load(
    data: Bytes, start: int, end: int, memory: Ints, cursor: Ints
) -> tuple[int, int, int, Ints]:
    """Fill `memory` with the base; return outcome, base's last offset, last offset and tail."""
    cursor[:] = 0
    if start == end:
        return OK, -1, -1, np.empty((0, layout.EVENT_WIDTH), dtype=np.int64)
    header, at = get_header(data, start)
    tail = np.empty((header[5], layout.EVENT_WIDTH), dtype=np.int64)
    if header[1] != layout.LAYOUT_VERSION:
        return FOREIGN, header[2], header[0], tail
    at = get_memory(data, at, header[4], memory)
    get_events(data, at, header[5], tail)
    cursor[layout.C_END] = header[4]
    cursor[layout.C_CAPPED] = header[3]
    link_all(memory, 0, header[4])
    return OK, header[2], header[0], tail


@kernel
def remember_all(
    memory: Ints, cursor: Ints, events: Ints, start: int, end: int, windows: Ints, plan: Ints
) -> None:
    """Fold events that have been decided before, without computing features."""
    nothing = np.empty(0, dtype=np.float64)
    sums = np.empty((0, layout.ACCUMULATORS), dtype=np.int64)
    for i in range(start, end):
        fold(memory, cursor, events[i], windows, plan, nothing, sums, nothing)


@kernel
def count_below(events: Ints, offset: int) -> int:
    """How many of the events, in offset order, stand below `offset`."""
    count = 0
    while count < len(events) and events[count, layout.E_OFFSET] < offset:
        count += 1
    return count


@kernel
def serve_card(
    state: tuple[Bytes, int, int],
    batch: Ints,
    span: tuple[int, int, int],
    compute: tuple[Ints, Ints, Ints, Ints, Floats, Ints],
    out: tuple[Floats, Ints],
    written: Bytes,
    at: int,
) -> tuple[int, Bytes, int]:
    """Features of one card's events, and its next state into `written`.

    `span` is (committed offset, first offset of the batch, last offset of the batch). Tail events
    below the committed offset join the base; those inside the batch are superseded by it; later
    ones are kept, for they will be fed again.
    """
    committed, first, last = span
    windows, plan, memory, cursor, instants, sums = compute
    values, statuses = out
    outcome, base_last, known_last, tail = load(state[0], state[1], state[2], memory, cursor)
    if outcome != OK or base_last >= batch[0, layout.E_OFFSET]:
        return (outcome if outcome != OK else AHEAD), written, at
    settled, before = count_below(tail, committed), count_below(tail, first)
    after = count_below(tail, last + 1)
    remember_all(memory, cursor, tail, 0, settled, windows, plan)
    if settled > 0:
        base_last = tail[settled - 1, layout.E_OFFSET]
    kept = np.empty(
        (before - settled + len(batch) + len(tail) - after, layout.EVENT_WIDTH), np.int64
    )
    size = (layout.CAP + 1 + len(kept)) * EVENT_BYTES + HEADER_BYTES
    written = grown(written, at + size)
    body = np.empty((layout.CAP + 1) * EVENT_BYTES, dtype=np.uint8)
    base_cursor = cursor.copy()
    body_size = put_memory(body, 0, memory, cursor[layout.C_START], cursor[layout.C_END])
    remember_all(memory, cursor, tail, settled, before, windows, plan)
    count = before - settled
    kept[:count] = tail[settled:before]
    for i in range(len(batch)):
        statuses[i] = fold(memory, cursor, batch[i], windows, plan, instants, sums, values[i])
        if statuses[i] & 2 == 0:
            kept[count] = batch[i]
            count += 1
    kept[count : count + len(tail) - after] = tail[after:]
    count += len(tail) - after
    known_last = max(known_last, batch[-1, layout.E_OFFSET])
    at = put_header(written, at, known_last, base_last, base_cursor, count)
    written[at : at + body_size] = body[:body_size]
    return OK, written, put_events(written, at + body_size, kept, count)


@kernel
def serve_cards(
    states: Bytes,
    state_bounds: Ints,
    events: Ints,
    bounds: Ints,
    span: tuple[int, int, int],
    windows: Ints,
    plan: Ints,
    values: Floats,
    statuses: Ints,
) -> tuple[int, int, Bytes, Ints]:
    """Fold a batch grouped by card: outcome, index of the offending card, next states and bounds."""
    memory = np.zeros((layout.MEMORY_WIDTH, layout.ROOM + 1), dtype=np.int64)
    cursor = np.zeros(layout.CURSOR_WIDTH, dtype=np.int64)
    instants = np.zeros(INSTANTS, dtype=np.float64)
    sums = np.zeros((len(windows) + 1, layout.ACCUMULATORS), dtype=np.int64)
    compute = (windows, plan, memory, cursor, instants, sums)
    written = np.empty(1 << 16, dtype=np.uint8)
    ends = np.zeros(len(bounds), dtype=np.int64)
    for card in range(len(bounds) - 1):
        start, end = bounds[card], bounds[card + 1]
        state = (states, state_bounds[card], state_bounds[card + 1])
        outcome, written, ends[card + 1] = serve_card(
            state, events[start:end], span, compute,
            (values[start:end], statuses[start:end]), written, ends[card],
        )  # fmt: skip
        if outcome != OK:
            return outcome, card, written, ends
    return OK, -1, written, ends
