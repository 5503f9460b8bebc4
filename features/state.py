"""A card's stored state: a base below the committed offset, and the events after it.

Bytes: checksum (4), version (1), the base's last offset + 1, the count of events lost to the cap,
the remembered events; then the number of tail events and these in full. The features at any offset
from the committed one on can be computed again from it.
"""

import numpy as np
from numpy.typing import NDArray

from features import layout
from features.bit_columns import SLACK
from features.card_packing import EVENT_BYTES, OTHER_BYTES, SCRATCH, get_memory, put_memory
from features.compiled import kernel
from features.hashing import xxh64
from features.kernel import DUPLICATE, LATE, fold
from features.packing import (
    TAIL_EVENT_BYTES,
    Integer,
    get_events,
    get_fixed,
    get_varint,
    grown,
    put_event,
    put_fixed,
    put_varint,
)
from features.statistic import INSTANTS, STATISTICS

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Compute = tuple[Ints, Ints, Ints, Ints, Floats, Ints, Ints]
"""Windows, slots, memory, cursor, and room for numbers, window sums and packing."""

OK, AHEAD, FOREIGN, DAMAGED = 0, 1, 2, 3
"""Outcomes: fine; the state holds more than may be replayed; another layout; wrong checksum."""

STATE_VERSION = 3
"""Of the bytes alone: states of another version are rebuilt, features stay the same."""

CHECKSUM_BYTES = 4
FIXED_BYTES = CHECKSUM_BYTES + 1


@kernel
def checksum(data: Bytes, start: int, end: int) -> np.int64:
    """The low bits of XXH64 over what follows the fixed part of a state."""
    return np.int64(xxh64(data, start + FIXED_BYTES, end) & np.uint64(0xFFFFFFFF))


@kernel
def seal(data: Bytes, start: int, end: int) -> None:
    """Write the fixed part of the state in data[start:end]."""
    at = put_fixed(data, start, checksum(data, start, end), CHECKSUM_BYTES)
    data[at] = STATE_VERSION


@kernel
def inspect(data: Bytes, start: int, end: int) -> int:
    """Is the state in data[start:end] one that this code wrote, whole?"""
    if end - start < FIXED_BYTES:
        return DAMAGED
    if data[start + FIXED_BYTES - 1] != STATE_VERSION:
        return FOREIGN
    written, _ = get_fixed(data, start, CHECKSUM_BYTES)
    return OK if written == checksum(data, start, end) else DAMAGED


@kernel
def load(
    data: Bytes, at: int, memory: Ints, cursor: Ints, scratch: Ints
) -> tuple[Integer, int, Ints]:
    """Fill `memory` with the base at `at`; its last offset, where it ends, and the tail."""
    after, at = get_varint(data, at)
    cursor[layout.C_START] = 0
    cursor[layout.C_CAPPED], at = get_varint(data, at)
    cursor[layout.C_END], end = get_memory(data, at, memory, scratch)
    count, at = get_varint(data, end)
    tail = np.empty((count, layout.EVENT_WIDTH), dtype=np.int64)
    get_events(data, at, int(count), tail)
    return after - 1, end, tail


@kernel
def count_below(events: Ints, offset: int) -> int:
    """How many of the events, in offset order, stand below `offset`."""
    count = 0
    while count < len(events) and events[count, layout.E_OFFSET] < offset:
        count += 1
    return count


@kernel
def put_base(
    data: Bytes, at: int, base_last: Integer, memory: Ints, cursor: Ints, scratch: Ints
) -> int:
    """Write what `load` reads before the tail."""
    start, end = cursor[layout.C_START], cursor[layout.C_END]
    at = put_varint(data, at, base_last + 1)
    at = put_varint(data, at, cursor[layout.C_CAPPED])
    return put_memory(data, at, memory, start, end, scratch)


@kernel
def fold_card(
    sequence: Ints,
    span: tuple[int, int],
    places: tuple[int, int],
    compute: Compute,
    out: tuple[Floats, Ints],
    in_tail: Ints,
) -> None:
    """Fold sequence[places[0]:places[1]]; sequence[span[0]:span[1]] are the events of the batch.

    Marks in `in_tail` which are no duplicates; those after the batch are kept as they are.
    """
    windows, slots, memory, cursor, numbers, sums, _ = compute
    values, statuses = out
    nothing = np.empty(0, dtype=np.float64)
    in_tail[places[0] : places[1]] = 1
    for i in range(places[0], min(places[1], span[1])):
        row = i - span[0]
        wanted = values[row] if row >= 0 else nothing
        status = fold(memory, cursor, sequence[i], windows, slots, numbers, sums, wanted)
        if row >= 0:
            statuses[row] = status
        in_tail[i] = status & DUPLICATE == 0


@kernel
def put_tail(data: Bytes, at: int, sequence: Ints, first: int, in_tail: Ints) -> int:
    """Write the events from `first` on that are marked."""
    at = put_varint(data, at, in_tail[first:].sum())
    for i in range(first, len(sequence)):
        if in_tail[i]:
            at = put_event(data, at, sequence[i])
    return at


@kernel
def serve_card(
    state: tuple[Bytes, int, int],
    batch: Ints,
    offsets: tuple[int, int, int],
    compute: Compute,
    out: tuple[Floats, Ints],
    written: Bytes,
    start: int,
) -> tuple[int, Bytes, int]:
    """Features of one card's events, and its next state into `written` from `start` on.

    `offsets` are the committed offset and the batch's first and last offset. Tail events below the
    committed offset join the base; those inside the batch are superseded by it; later ones are
    kept, for they will be fed again.
    """
    committed, first, last = offsets
    memory, cursor, scratch = compute[2], compute[3], compute[6]
    base_last: Integer = np.int64(-1)
    base, base_end = 0, 0
    tail = np.empty((0, layout.EVENT_WIDTH), dtype=np.int64)
    cursor[:] = 0
    if state[2] > state[1]:
        outcome = inspect(state[0], state[1], state[2])
        if outcome != OK:
            return outcome, written, start
        base = state[1] + FIXED_BYTES
        base_last, base_end, tail = load(state[0], base, memory, cursor, scratch)
    if base_last >= batch[0, layout.E_OFFSET]:
        return AHEAD, written, start
    before, after = count_below(tail, first), count_below(tail, last + 1)
    sequence = np.concatenate((tail[:before], batch, tail[after:]))
    span = (before, before + len(batch))
    in_tail = np.zeros(len(sequence), dtype=np.int64)
    settled = count_below(sequence, committed)
    fold_card(sequence, span, (0, settled), compute, out, in_tail)
    for i in range(settled):
        if in_tail[i]:
            base_last = sequence[i, layout.E_OFFSET]
    remembered = cursor[layout.C_END] - cursor[layout.C_START]
    room = OTHER_BYTES + remembered * EVENT_BYTES + len(sequence) * TAIL_EVENT_BYTES
    written = grown(written, start + int(room))
    at = start + FIXED_BYTES
    if settled > 0 or base == base_end:
        at = put_base(written, at, base_last, memory, cursor, scratch)
    else:
        written[at : at + base_end - base] = state[0][base:base_end]
        at += base_end - base
    fold_card(sequence, span, (settled, len(sequence)), compute, out, in_tail)
    at = put_tail(written, at, sequence, settled, in_tail)
    seal(written, start, at)
    return OK, written, at


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

    `offsets` holds per card what `serve_card` is given. Behind the states stand `SLACK` more bytes.
    """
    memory = np.zeros((layout.MEMORY_WIDTH, layout.ROOM + 1), dtype=np.int64)
    cursor = np.zeros(layout.CURSOR_WIDTH, dtype=np.int64)
    numbers = np.zeros(INSTANTS + len(windows) * STATISTICS, dtype=np.float64)
    sums = np.zeros((len(windows), layout.ACCUMULATORS), dtype=np.int64)
    scratch = np.zeros(SCRATCH, dtype=np.int64)
    compute = (windows, slots, memory, cursor, numbers, sums, scratch)
    if len(states) < state_bounds[-1] + SLACK:
        raise ValueError("behind the states there must be SLACK bytes")
    written = np.empty(1 << 16, dtype=np.uint8)
    ends = np.zeros(len(bounds), dtype=np.int64)
    for card in range(len(bounds) - 1):
        start, end = bounds[card], bounds[card + 1]
        state = (states, state_bounds[card], state_bounds[card + 1])
        out = (values[start:end], statuses[start:end])
        span = (offsets[card, 0], offsets[card, 1], offsets[card, 2])
        outcome, written, ends[card + 1] = serve_card(
            state, events[start:end], span, compute, out, written, ends[card]
        )
        if outcome != OK:
            return outcome, card, written, ends
    return OK, -1, written, ends


@kernel
def put_back(
    found: Floats, statuses: Ints, order: Ints, values: Floats
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Write row i of `found` into row order[i] of `values`; which rows are late, and duplicates."""
    late, duplicate = np.empty(len(order), np.bool_), np.empty(len(order), np.bool_)
    for i in range(len(order)):
        row = order[i]
        late[row], duplicate[row] = statuses[i] & LATE != 0, statuses[i] & DUPLICATE != 0
        for column in range(found.shape[1]):
            values[row, column] = found[i, column]
    return late, duplicate
