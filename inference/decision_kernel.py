"""Decisions written as JSON by a kernel: whole columns in, the bytes of all records out.

Integers and doubles that are whole numbers are written here; the text of all others comes ready
made, in the order in which they are met, from a library that writes the shortest digits.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from contracts.raw_memory import byte, copy, put_byte
from inference.reason_kernel import NONE, REASONS

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

(
    P_TRANSACTION,
    P_CARD,
    P_TIME,
    P_AMOUNT,
    P_SCORE,
    P_DECISION,
    P_LOSS,
    P_LATE,
    P_DUPLICATE,
    P_CONTROL,
    P_PROPENSITY,
    P_PARTITION,
    P_OFFSET,
    P_FEATURES,
    P_END,
    P_FALSE,
    P_TRUE,
    P_VALUE,
    P_KINDS,
) = range(19)
"""Pieces of text: what stands before a field's value, then words, then the decisions with what
stands before the reasons."""
WHOLE_BELOW = 1e15
"""A whole number below this is written with a point and a zero; libraries agree."""
NUMBER_BYTES = 26
LONGEST_INTEGER = 19
FIXED = 8 + REASONS
"""Integers and flags of a record, and what stands around its reasons' numbers."""
ESCAPED_BYTES = 6
"""What a byte of text takes at most."""

Spans = NDArray[np.int64]
"""[n, field, 2]: where a field's text begins and ends."""
Flags = NDArray[np.bool_]

part = njit(cache=True, forceinline=True)


@part  # type: ignore[untyped-decorator]
def is_whole(value: float) -> bool:
    """Whether a double is written as an integer and `.0`; negative zero is not."""
    return abs(value) < WHOLE_BELOW and value == np.int64(value) and not is_minus_zero(value)


@part  # type: ignore[untyped-decorator]
def is_minus_zero(value: float) -> bool:
    """Zero with a sign."""
    return value == 0.0 and math.copysign(1.0, value) < 0.0


@part  # type: ignore[untyped-decorator]
def put_fraction(found: Floats, count: int, value: float) -> int:
    """Add a number that the kernel does not write itself; how many there are now."""
    if value == value and not is_whole(value):
        found[count] = value
        count += 1
    return count


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def fractions(score: Floats, reasons: Floats, propensity: Floats, features: Floats) -> Floats:
    """All numbers that the kernel does not write itself, in the order of the records."""
    found = np.empty(len(score) * (2 + reasons.shape[1] + features.shape[1]))
    count = 0
    for i in range(len(score)):
        count = put_fraction(found, count, score[i])
        for j in range(reasons.shape[1]):
            count = put_fraction(found, count, reasons[i, j])
        count = put_fraction(found, count, propensity[i])
        for j in range(features.shape[1]):
            count = put_fraction(found, count, features[i, j])
    return found[:count]


@part  # type: ignore[untyped-decorator]
def put_text(out: int, at: int, text: int, start: int, end: int) -> int:
    """Copy bytes; the position after them."""
    copy(out, at, text, start, end - start)
    return at + end - start


@part  # type: ignore[untyped-decorator]
def hex_digit(value: int) -> int:
    """The character of a hexadecimal digit."""
    return value + 48 if value < 10 else value + 87


@part  # type: ignore[untyped-decorator]
def escape_of(found: int) -> int:
    """The letter of a short escape of JSON, 0 for none."""
    if found == 34 or found == 92:
        return found
    if found == 8:
        return 98
    if found == 9:
        return 116
    if found == 10:
        return 110
    if found == 12:
        return 102
    return 114 if found == 13 else 0


@part  # type: ignore[untyped-decorator]
def put_string(out: int, at: int, text: int, start: int, end: int) -> int:
    """Copy text with JSON's escapes, in the form that the library writes."""
    for i in range(start, end):
        found = byte(text, i)
        if found >= 32 and found != 34 and found != 92:
            put_byte(out, at, found)
            at += 1
            continue
        letter = escape_of(found)
        put_byte(out, at, 92)
        if letter:
            put_byte(out, at + 1, letter)
            at += 2
            continue
        put_byte(out, at + 1, 117)
        put_byte(out, at + 2, 48)
        put_byte(out, at + 3, 48)
        put_byte(out, at + 4, hex_digit(found >> 4))
        put_byte(out, at + 5, hex_digit(found & 15))
        at += 6
    return at


@part  # type: ignore[untyped-decorator]
def put_integer(out: int, at: int, value: int) -> int:
    """Write an integer in decimal digits."""
    if value < 0:
        put_byte(out, at, 45)
        at += 1
        value = -value
    size, bound = 1, 10
    while value >= bound and size < LONGEST_INTEGER:
        size += 1
        bound *= 10
    rest = np.uint64(value)
    for i in range(size - 1, -1, -1):
        tenth = rest // np.uint64(10)
        put_byte(out, at + i, int(np.uint64(48) + rest - tenth * np.uint64(10)))
        rest = tenth
    return at + size


@part  # type: ignore[untyped-decorator]
def put_number(out: int, at: int, value: float, ready: int, next_ready: int) -> tuple[int, int]:
    """Write a double; returns the positions after it, in `out` and in the ready-made texts.

    These stand one after the other with a comma or bracket behind each.
    """
    if value != value:
        for i, letter in enumerate((110, 117, 108, 108)):
            put_byte(out, at + i, letter)
        return at + 4, next_ready
    if is_whole(value):
        at = put_integer(out, at, np.int64(value))
        put_byte(out, at, 46)
        put_byte(out, at + 1, 48)
        return at + 2, next_ready
    start = next_ready
    found = byte(ready, next_ready)
    while found != 44 and found != 93:
        next_ready += 1
        found = byte(ready, next_ready)
    copy(out, at, ready, start, next_ready - start)
    return at + next_ready - start, next_ready + 1


@part  # type: ignore[untyped-decorator]
def put_piece(out: int, at: int, pieces: int, bounds: Ints, piece: int) -> int:
    """Copy a piece of text."""
    return int(put_text(out, at, pieces, bounds[piece], bounds[piece + 1]))


@part  # type: ignore[untyped-decorator]
def put_names(
    out: int,
    at: int,
    text: int,
    spans: Spans,
    numbers: Ints,
    i: int,
    fields: tuple[int, int, int, int],
    pieces: int,
    bounds: Ints,
) -> int:
    """Write the fields up to the score."""
    transaction, card, time, amount = fields
    at = put_piece(out, at, pieces, bounds, P_TRANSACTION)
    at = put_string(out, at, text, spans[i, transaction, 0], spans[i, transaction, 1])
    at = put_piece(out, at, pieces, bounds, P_CARD)
    at = put_string(out, at, text, spans[i, card, 0], spans[i, card, 1])
    at = put_piece(out, at, pieces, bounds, P_TIME)
    at = put_integer(out, at, numbers[i, time])
    at = put_piece(out, at, pieces, bounds, P_AMOUNT)
    at = put_integer(out, at, numbers[i, amount])
    return int(put_piece(out, at, pieces, bounds, P_SCORE))


@part  # type: ignore[untyped-decorator]
def put_reasons(
    out: int,
    at: int,
    columns: NDArray[np.int32],
    numbers: Floats,
    i: int,
    heads: int,
    head_bounds: Ints,
    pieces: int,
    bounds: Ints,
    ready: int,
    next_ready: int,
) -> tuple[int, int]:
    """Write a row's reasons from columns."""
    for rank in range(REASONS):
        column = columns[i, rank]
        if column == NONE:
            break
        if rank > 0:
            put_byte(out, at, 44)
            at += 1
        at = put_text(out, at, heads, head_bounds[column], head_bounds[column + 1])
        at, next_ready = put_number(out, at, numbers[i, 2 * rank], ready, next_ready)
        at = put_piece(out, at, pieces, bounds, P_VALUE)
        at, next_ready = put_number(out, at, numbers[i, 2 * rank + 1], ready, next_ready)
        put_byte(out, at, 125)
        at += 1
    return at, next_ready


@part  # type: ignore[untyped-decorator]
def put_flag(out: int, at: int, pieces: int, bounds: Ints, piece: int, flag: bool) -> int:
    """Write what stands before a flag, and its word."""
    at = put_piece(out, at, pieces, bounds, piece)
    return int(put_piece(out, at, pieces, bounds, P_TRUE if flag else P_FALSE))


@part  # type: ignore[untyped-decorator]
def put_features(
    out: int,
    at: int,
    pieces: int,
    bounds: Ints,
    features: Floats,
    i: int,
    ready: int,
    next_ready: int,
) -> tuple[int, int]:
    """Write the vector's numbers, and the record's end."""
    at = put_piece(out, at, pieces, bounds, P_FEATURES)
    for j in range(features.shape[1]):
        if j > 0:
            put_byte(out, at, 44)
            at += 1
        at, next_ready = put_number(out, at, features[i, j], ready, next_ready)
    return int(put_piece(out, at, pieces, bounds, P_END)), next_ready


@part  # type: ignore[untyped-decorator]
def put_kind(out: int, at: int, pieces: int, bounds: Ints, decision: int) -> int:
    """Write the decision, and what stands before its reasons."""
    at = put_piece(out, at, pieces, bounds, P_DECISION)
    return int(put_piece(out, at, pieces, bounds, P_KINDS + decision))


@part  # type: ignore[untyped-decorator]
def put_outcome(
    out: int,
    at: int,
    pieces: int,
    bounds: Ints,
    loss: int,
    flags: tuple[Flags, Flags, Flags],
    i: int,
) -> int:
    """Write the expected loss, and whether a row is late, a duplicate, in the control group."""
    late, duplicate, control = flags
    at = put_piece(out, at, pieces, bounds, P_LOSS)
    at = put_integer(out, at, loss)
    at = put_flag(out, at, pieces, bounds, P_LATE, late[i])
    at = put_flag(out, at, pieces, bounds, P_DUPLICATE, duplicate[i])
    return int(put_flag(out, at, pieces, bounds, P_CONTROL, control[i]))


@part  # type: ignore[untyped-decorator]
def put_source(out: int, at: int, pieces: int, bounds: Ints, partition: int, offset: int) -> int:
    """Write where a row's record stands in Kafka."""
    at = put_piece(out, at, pieces, bounds, P_PARTITION)
    at = put_integer(out, at, partition)
    at = put_piece(out, at, pieces, bounds, P_OFFSET)
    return int(put_integer(out, at, offset))


@part  # type: ignore[untyped-decorator]
def room_for(spans: Spans, fields: tuple[int, int, int, int], row_bytes: int) -> int:
    """More bytes than the records take, names aside for `row_bytes` each."""
    names = 0
    for i in range(len(spans)):
        for field in fields[:2]:
            names += spans[i, field, 1] - spans[i, field, 0]
    return ESCAPED_BYTES * names + len(spans) * row_bytes


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def write_decisions(
    text: int,
    spans: Spans,
    numbers: Ints,
    fields: tuple[int, int, int, int],
    partitions: NDArray[np.int32],
    offsets: Ints,
    score: Floats,
    decision: NDArray[np.int8],
    loss: Ints,
    flags: tuple[Flags, Flags, Flags],
    propensity: Floats,
    reasons: NDArray[np.int32],
    reason_numbers: Floats,
    methods: Ints,
    texts: Ints,
    heads: Bytes,
    head_bounds: Ints,
    longest_head: int,
    written: Bytes,
    written_bounds: Ints,
    features: Floats,
    ready: Bytes,
    pieces: Bytes,
    bounds: Ints,
) -> tuple[Bytes, Ints]:
    """All records one after the other, and their n + 1 bounds.

    `text` is the address of the transactions' text; `fields` are the places of transaction and card
    in `spans`, of time and amount in `numbers`; `flags` are late, duplicate, control. `reasons` are
    the features of a row's reasons, NONE after the last; a reason's text up to its contribution is
    that between head_bounds[method, feature] and the bound after it. Where `texts` is not NONE, the
    reasons are the text of that number in `written`. `ready` is the JSON of `fractions`.
    """
    doubles = 2 + reason_numbers.shape[1] + features.shape[1]
    row_bytes = len(pieces) + REASONS * longest_head + (FIXED + doubles) * NUMBER_BYTES
    memory = np.empty(room_for(spans, fields, row_bytes) + len(written) + 1, dtype=np.uint8)
    ends = np.zeros(len(spans) + 1, dtype=np.int64)
    out, words = memory.ctypes.data, pieces.ctypes.data
    made, head = ready.ctypes.data, heads.ctypes.data
    at, next_ready = 0, 1
    for i in range(len(spans)):
        at = put_names(out, at, text, spans, numbers, i, fields, words, bounds)
        at, next_ready = put_number(out, at, score[i], made, next_ready)
        at = put_kind(out, at, words, bounds, decision[i])
        if texts[i] != NONE:
            at = put_piece(out, at, written.ctypes.data, written_bounds, texts[i])
        at, next_ready = put_reasons(
            out, at, reasons, reason_numbers, i, head, head_bounds[methods[i]], words, bounds,
            made, next_ready,
        )  # fmt: skip
        at = put_outcome(out, at, words, bounds, loss[i], flags, i)
        at = put_piece(out, at, words, bounds, P_PROPENSITY)
        at, next_ready = put_number(out, at, propensity[i], made, next_ready)
        at = put_source(out, at, words, bounds, partitions[i], offsets[i])
        at, next_ready = put_features(out, at, words, bounds, features, i, made, next_ready)
        ends[i + 1] = at
    return memory[:at], ends
