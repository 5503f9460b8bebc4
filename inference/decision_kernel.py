"""Decisions written as JSON by a kernel: whole columns in, the bytes of all records out.

Integers and doubles that are whole numbers are written here; the text of all others comes ready
made, in the order in which they are met, from a library that writes the shortest digits.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from contracts.raw_memory import byte, copy, put_byte

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
I_TRANSACTION_START, I_TRANSACTION_END, I_CARD_START, I_CARD_END = range(4)
I_TIME, I_AMOUNT, I_DECISION, I_LOSS, I_PARTITION, I_OFFSET = range(4, 10)
I_LATE, I_DUPLICATE, I_CONTROL, I_METHOD, I_WRITTEN = range(10, 15)
INTEGERS = 15
"""Columns of a row's integers; I_METHOD is its reasons', I_WRITTEN the number of their text, or
NONE when they stand in columns."""
REASONS = 3
D_SCORE, D_REASONS, D_PROPENSITY = 0, 1, 1 + 2 * REASONS
DOUBLES = 2 + 2 * REASONS
"""Columns of a row's doubles, NaN for null; from D_REASONS on each reason's contribution and
value, NaN where there is no reason."""

WHOLE_BELOW = 1e15
"""A whole number below this is written with a point and a zero; libraries agree."""
NUMBER_BYTES = 26
LONGEST_INTEGER = 19
NONE = -1

part = njit(cache=True, forceinline=True)


@part  # type: ignore[untyped-decorator]
def is_whole(value: float) -> bool:
    """Whether a double is written as an integer and `.0`; negative zero is not."""
    return abs(value) < WHOLE_BELOW and value == np.int64(value) and not is_minus_zero(value)


@part  # type: ignore[untyped-decorator]
def is_minus_zero(value: float) -> bool:
    """Zero with a sign."""
    return value == 0.0 and math.copysign(1.0, value) < 0.0


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def fractions(matrix: Floats) -> Floats:
    """All numbers that the kernel does not write itself, row by row."""
    found = np.empty(matrix.size)
    count = 0
    for i in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            value = matrix[i, j]
            if value == value and not is_whole(value):
                found[count] = value
                count += 1
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
def put_names(
    out: int, at: int, text: int, integers: Ints, i: int, pieces: int, bounds: Ints
) -> int:
    """Write the fields up to the score."""
    at = put_text(out, at, pieces, bounds[P_TRANSACTION], bounds[P_TRANSACTION + 1])
    start, end = integers[i, I_TRANSACTION_START], integers[i, I_TRANSACTION_END]
    at = put_string(out, at, text, start, end)
    at = put_text(out, at, pieces, bounds[P_CARD], bounds[P_CARD + 1])
    at = put_string(out, at, text, integers[i, I_CARD_START], integers[i, I_CARD_END])
    at = put_text(out, at, pieces, bounds[P_TIME], bounds[P_TIME + 1])
    at = put_integer(out, at, integers[i, I_TIME])
    at = put_text(out, at, pieces, bounds[P_AMOUNT], bounds[P_AMOUNT + 1])
    at = put_integer(out, at, integers[i, I_AMOUNT])
    return int(put_text(out, at, pieces, bounds[P_SCORE], bounds[P_SCORE + 1]))


@part  # type: ignore[untyped-decorator]
def put_reasons(
    out: int,
    at: int,
    columns: NDArray[np.int32],
    doubles: Floats,
    i: int,
    heads: int,
    head_bounds: Ints,
    comma_value: tuple[int, int, int],
    ready: int,
    next_ready: int,
) -> tuple[int, int]:
    """Write a row's reasons from columns."""
    pieces, value_start, value_end = comma_value
    for rank in range(REASONS):
        column = columns[i, rank]
        if column == NONE:
            break
        if rank > 0:
            put_byte(out, at, 44)
            at += 1
        place = D_REASONS + 2 * rank
        at = put_text(out, at, heads, head_bounds[column], head_bounds[column + 1])
        at, next_ready = put_number(out, at, doubles[i, place], ready, next_ready)
        at = put_text(out, at, pieces, value_start, value_end)
        at, next_ready = put_number(out, at, doubles[i, place + 1], ready, next_ready)
        put_byte(out, at, 125)
        at += 1
    return at, next_ready


@part  # type: ignore[untyped-decorator]
def put_flag(out: int, at: int, pieces: int, bounds: Ints, piece: int, flag: int) -> int:
    """Write what stands before a flag, and its word."""
    at = put_text(out, at, pieces, bounds[piece], bounds[piece + 1])
    word = P_TRUE if flag else P_FALSE
    return int(put_text(out, at, pieces, bounds[word], bounds[word + 1]))


@part  # type: ignore[untyped-decorator]
def put_features(
    out: int, at: int, features: Floats, i: int, ready: int, next_ready: int
) -> tuple[int, int]:
    """Write the vector's numbers."""
    for j in range(features.shape[1]):
        if j > 0:
            put_byte(out, at, 44)
            at += 1
        at, next_ready = put_number(out, at, features[i, j], ready, next_ready)
    return at, next_ready


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def write_decisions(
    text: int,
    integers: Ints,
    doubles: Floats,
    doubles_ready: int,
    columns: NDArray[np.int32],
    heads: int,
    head_bounds: NDArray[np.int64],
    written: int,
    written_bounds: Ints,
    features: Floats,
    features_ready: int,
    pieces: int,
    bounds: Ints,
    out: int,
    ends: Ints,
) -> None:
    """Write all records to `out`, which is large enough; record i ends at ends[i + 1].

    `text`, `heads`, `written`, `pieces` and the ready-made numbers are addresses. `columns` are the
    features of a row's reasons, NONE after the last; a reason's text up to its contribution is that
    between head_bounds[method, column] and the bound after it.
    """
    at, ready, ready_feature = 0, 1, 1
    value = (pieces, bounds[P_VALUE], bounds[P_VALUE + 1])
    for i in range(len(integers)):
        at = put_names(out, at, text, integers, i, pieces, bounds)
        at, ready = put_number(out, at, doubles[i, D_SCORE], doubles_ready, ready)
        at = put_text(out, at, pieces, bounds[P_DECISION], bounds[P_DECISION + 1])
        kind = P_KINDS + integers[i, I_DECISION]
        at = put_text(out, at, pieces, bounds[kind], bounds[kind + 1])
        number = integers[i, I_WRITTEN]
        if number >= 0:
            at = put_text(out, at, written, written_bounds[number], written_bounds[number + 1])
        of_method = head_bounds[integers[i, I_METHOD]]
        at, ready = put_reasons(
            out, at, columns, doubles, i, heads, of_method, value, doubles_ready, ready
        )
        at = put_text(out, at, pieces, bounds[P_LOSS], bounds[P_LOSS + 1])
        at = put_integer(out, at, integers[i, I_LOSS])
        at = put_flag(out, at, pieces, bounds, P_LATE, integers[i, I_LATE])
        at = put_flag(out, at, pieces, bounds, P_DUPLICATE, integers[i, I_DUPLICATE])
        at = put_flag(out, at, pieces, bounds, P_CONTROL, integers[i, I_CONTROL])
        at = put_text(out, at, pieces, bounds[P_PROPENSITY], bounds[P_PROPENSITY + 1])
        at, ready = put_number(out, at, doubles[i, D_PROPENSITY], doubles_ready, ready)
        at = put_text(out, at, pieces, bounds[P_PARTITION], bounds[P_PARTITION + 1])
        at = put_integer(out, at, integers[i, I_PARTITION])
        at = put_text(out, at, pieces, bounds[P_OFFSET], bounds[P_OFFSET + 1])
        at = put_integer(out, at, integers[i, I_OFFSET])
        at = put_text(out, at, pieces, bounds[P_FEATURES], bounds[P_FEATURES + 1])
        at, ready_feature = put_features(out, at, features, i, features_ready, ready_feature)
        at = put_text(out, at, pieces, bounds[P_END], bounds[P_END + 1])
        ends[i + 1] = at


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def pick(contributions: Floats, groups: NDArray[np.int32], found: NDArray[np.int32]) -> None:
    """Fill each row with the columns of its largest positive values, one per group."""
    for row in range(len(contributions)):
        for rank in range(found.shape[1]):
            best, most = NONE, 0.0
            for column in range(contributions.shape[1]):
                if contributions[row, column] <= most:
                    continue
                is_taken = False
                for earlier in range(rank):
                    is_taken |= groups[found[row, earlier]] == groups[column]
                if not is_taken:
                    best, most = column, contributions[row, column]
            if best == NONE:
                break
            found[row, rank] = best


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def picked_numbers(columns: NDArray[np.int32], contributions: Floats, values: Floats) -> Floats:
    """Contribution and value of each picked feature; NaN where none is picked."""
    numbers = np.full((len(columns), 2 * REASONS), np.nan)
    for row in range(len(columns)):
        for rank in range(REASONS):
            column = columns[row, rank]
            if column != NONE:
                numbers[row, 2 * rank] = contributions[row, column]
                numbers[row, 2 * rank + 1] = values[row, column]
    return numbers
