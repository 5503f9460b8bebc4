"""A card's stored state: a base below the committed offset, and the events after it.

Bytes: last offset (8, most significant first, so that a store can compare two states without
reading them), checksum (4), version (1), then as variable-length integers the base's last
offset + 1, the number of tail events, the count of events lost to the cap, the number of
remembered events; then remembered events and tail events.
The features at any offset from the committed one on can be computed again from it.
"""

import numpy as np
from numpy.typing import NDArray

from features import layout
from features.compiled import kernel
from features.hashing import xxh64
from features.kernel import DUPLICATE, fold
from features.packing import (
    EVENT_BYTES,
    Integer,
    get_events,
    get_fixed,
    get_memory,
    get_varint,
    grown,
    put_event,
    put_fixed,
    put_memory,
    put_varint,
)
from features.statistic import INSTANTS, STATISTICS

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Compute = tuple[Ints, Ints, Ints, Ints, Floats, Ints]
"""Windows, slots, memory, cursor, and room for numbers and window sums."""

OK, AHEAD, FOREIGN, DAMAGED = 0, 1, 2, 3
"""Outcomes: fine; the state holds more than may be replayed; another layout; wrong checksum."""

STATE_VERSION = 2
"""Of the bytes alone: states of another version are rebuilt, features stay the same."""

OFFSET_BYTES, CHECKSUM_BYTES = 8, 4
FIXED_BYTES = OFFSET_BYTES + CHECKSUM_BYTES + 1
HEADER_BYTES = FIXED_BYTES + 40
H_BASE_LAST, H_TAIL, H_CAPPED, H_REMEMBERED = range(4)

SETTLED = 4
"""So many events below the committed offset wait in the tail: packing the base anew each time would
cost more than the fold."""


@kernel
def checksum(data: Bytes, start: int, end: int) -> np.int64:
    """The low bits of XXH64 over what follows the fixed part of a state."""
    return np.int64(xxh64(data, start + FIXED_BYTES, end) & np.uint64(0xFFFFFFFF))


@kernel
def seal(data: Bytes, start: int, end: int, last: int) -> None:
    """Write the fixed part of the state in data[start:end]."""
    at = put_fixed(data, start, last, OFFSET_BYTES)
    at = put_fixed(data, at, checksum(data, start, end), CHECKSUM_BYTES)
    data[at] = STATE_VERSION


@kernel
def inspect(data: Bytes, start: int, end: int) -> int:
    """Is the state in data[start:end] one that this code wrote, whole?"""
    if end - start < FIXED_BYTES:
        return DAMAGED
    if data[start + FIXED_BYTES - 1] != STATE_VERSION:
        return FOREIGN
    written, _ = get_fixed(data, start + OFFSET_BYTES, CHECKSUM_BYTES)
    return OK if written == checksum(data, start, end) else DAMAGED


@kernel
def load(data: Bytes, at: int, memory: Ints, cursor: Ints) -> tuple[Integer, Ints, Bytes]:
    """Fill `memory` with the base of an inspected state.

    Returns the base's last offset, the tail, and the base's bytes.
    """
    header = np.empty(4, dtype=np.int64)
    at += FIXED_BYTES
    start = at
    for field in range(4):
        if field == H_CAPPED:
            start = at
        header[field], at = get_varint(data, at)
    tail = np.empty((header[H_TAIL], layout.EVENT_WIDTH), dtype=np.int64)
    end = get_memory(data, at, header[H_REMEMBERED], memory)
    get_events(data, end, header[H_TAIL], tail)
    cursor[layout.C_START] = 0
    cursor[layout.C_END] = header[H_REMEMBERED]
    cursor[layout.C_CAPPED] = header[H_CAPPED]
    return header[H_BASE_LAST] - 1, tail, data[start:end]


@kernel
def count_below(events: Ints, offset: int) -> int:
    """How many of the events, in offset order, stand below `offset`."""
    count = 0
    while count < len(events) and events[count, layout.E_OFFSET] < offset:
        count += 1
    return count


@kernel
def put_base(data: Bytes, memory: Ints, cursor: Ints) -> int:
    """Write counts and remembered events of the base; its size in bytes."""
    start, end = cursor[layout.C_START], cursor[layout.C_END]
    at = put_varint(data, 0, cursor[layout.C_CAPPED])
    at = put_varint(data, at, end - start)
    return put_memory(data, at, memory, start, end)


@kernel
def fold_card(
    sequence: Ints,
    span: tuple[int, int],
    committed: int,
    base_last: Integer,
    compute: Compute,
    out: tuple[Floats, Ints],
    base: Bytes,
) -> tuple[int, Integer, Ints]:
    """Fold a card's events in offset order; sequence[span[0]:span[1]] are those of the batch.

    A new base is written to `base` on reaching the committed offset, or none (size 0) while few
    events stand before it. Returns its size, the base's last offset, and which events stand in the
    tail: those after the base that are no duplicates.
    """
    windows, slots, memory, cursor, numbers, sums = compute
    values, statuses = out
    nothing = np.empty(0, dtype=np.float64)
    in_tail = np.zeros(len(sequence), dtype=np.int64)
    settled = count_below(sequence, committed)
    joins = settled >= SETTLED
    size = 0
    for i in range(len(sequence)):
        is_settled = joins and i < settled
        if joins and i == settled:
            size = put_base(base, memory, cursor)
        if span[0] <= i < span[1]:
            row = i - span[0]
            status = fold(memory, cursor, sequence[i], windows, slots, numbers, sums, values[row])
            statuses[row] = status
        elif i < span[0]:
            status = fold(memory, cursor, sequence[i], windows, slots, numbers, sums, nothing)
        else:
            status = 0
        if is_settled and status & DUPLICATE == 0:
            base_last = sequence[i, layout.E_OFFSET]
        in_tail[i] = not is_settled and status & DUPLICATE == 0
    if joins and settled == len(sequence):
        size = put_base(base, memory, cursor)
    return size, base_last, in_tail


@kernel
def put_state(
    data: Bytes,
    start: int,
    last: int,
    base_last: Integer,
    base: Bytes,
    sequence: Ints,
    in_tail: Ints,
) -> int:
    """Write one state from `start` on; the position after it."""
    at = put_varint(data, start + FIXED_BYTES, base_last + 1)
    at = put_varint(data, at, in_tail.sum())
    data[at : at + len(base)] = base
    at += len(base)
    for i in range(len(sequence)):
        if in_tail[i]:
            at = put_event(data, at, sequence[i])
    seal(data, start, at, last)
    return at


@kernel
def serve_card(
    state: tuple[Bytes, int, int],
    batch: Ints,
    offsets: tuple[int, int, int],
    compute: Compute,
    out: tuple[Floats, Ints],
    base: Bytes,
    written: Bytes,
    at: int,
) -> tuple[int, Bytes, int]:
    """Features of one card's events, and its next state into `written` from `at` on.

    `offsets` are the committed offset and the batch's first and last offset. Tail events below the
    committed offset join the base once there are some; those inside the batch are superseded by it;
    later ones are kept, for they will be fed again.
    """
    committed, first, last = offsets
    memory, cursor = compute[2], compute[3]
    base_last: Integer = np.int64(-1)
    known_last: Integer = np.int64(-1)
    tail = np.empty((0, layout.EVENT_WIDTH), dtype=np.int64)
    cursor[:] = 0
    held = base[: put_base(base, memory, cursor)].copy()
    if state[2] > state[1]:
        outcome = inspect(state[0], state[1], state[2])
        if outcome != OK:
            return outcome, written, at
        known_last, _ = get_fixed(state[0], state[1], OFFSET_BYTES)
        base_last, tail, held = load(state[0], state[1], memory, cursor)
    if base_last >= batch[0, layout.E_OFFSET]:
        return AHEAD, written, at
    before, after = count_below(tail, first), count_below(tail, last + 1)
    sequence = np.concatenate((tail[:before], batch, tail[after:]))
    size, base_last, in_tail = fold_card(
        sequence, (before, before + len(batch)), committed, base_last, compute, out, base
    )
    if size > 0:
        held = base[:size]
    written = grown(written, at + HEADER_BYTES + len(held) + int(in_tail.sum()) * EVENT_BYTES)
    end_offset = max(known_last, sequence[-1, layout.E_OFFSET])
    return (
        OK,
        written,
        put_state(written, at, end_offset, base_last, held, sequence, in_tail),
    )


@kernel
def serve_cards(
    states: Bytes,
    state_bounds: Ints,
    events: Ints,
    bounds: Ints,
    offsets: Ints,
    windows: Ints,
    slots: Ints,
    values: Floats,
    statuses: Ints,
) -> tuple[int, int, Bytes, Ints]:
    """Fold a batch grouped by card: outcome, the offending card, next states and their bounds.

    `offsets` holds per card what `serve_card` is given.
    """
    memory = np.zeros((layout.MEMORY_WIDTH, layout.ROOM + 1), dtype=np.int64)
    cursor = np.zeros(layout.CURSOR_WIDTH, dtype=np.int64)
    numbers = np.zeros(INSTANTS + len(windows) * STATISTICS, dtype=np.float64)
    sums = np.zeros((len(windows), layout.ACCUMULATORS), dtype=np.int64)
    compute = (windows, slots, memory, cursor, numbers, sums)
    base = np.empty((layout.CAP + 1) * EVENT_BYTES, dtype=np.uint8)
    written = np.empty(1 << 16, dtype=np.uint8)
    ends = np.zeros(len(bounds), dtype=np.int64)
    for card in range(len(bounds) - 1):
        start, end = bounds[card], bounds[card + 1]
        state = (states, state_bounds[card], state_bounds[card + 1])
        out = (values[start:end], statuses[start:end])
        span = (offsets[card, 0], offsets[card, 1], offsets[card, 2])
        outcome, written, ends[card + 1] = serve_card(
            state, events[start:end], span, compute, out, base, written, ends[card]
        )
        if outcome != OK:
            return outcome, card, written, ends
    return OK, -1, written, ends
