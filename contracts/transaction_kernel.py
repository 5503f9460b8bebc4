"""Transactions read by a kernel: plain JSON in UTF-8 bytes to places, integers and doubles.

It reads what it can vouch for, as RFC 8259 has it: one object, known fields at most once, text of
ASCII without escapes, integers without fraction or exponent, all within their bounds. Any other
record it leaves to `Transaction` itself. Bounds and names come as arguments, so that the compiled
code holds no copy of them. Helpers are given addresses of bytes, not arrays: each array that is
handed on costs reference counts, which took three quarters of the time.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from contracts.raw_memory import byte

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

PLAIN, DOUBT, LONG_REAL = 0, 1, 2
"""Of a row: read; not vouched for; read, but a double has too many digits to be made here."""
NULL_SPAN = -1
NULL_NUMBER = -(1 << 62)

TEXT, INTEGER, REAL = 0, 1, 2
ANY, DIGITS, CAPITALS, CHOICE = 0, 1, 2, 3
(
    F_NAME_START,
    F_NAME_END,
    F_KIND,
    F_COLUMN,
    F_REQUIRED,
    F_LOW,
    F_HIGH,
    F_PATTERN,
) = range(8)
FIELD_WIDTH = 8
"""Columns of a row of `fields`: bounds are those of the value, or of a text's length."""

QUOTE, ESCAPE, COLON, COMMA, OPEN, CLOSE = 34, 92, 58, 44, 123, 125
MINUS, POINT, ZERO, NINE = 45, 46, 48, 57
EXACT_DIGITS = 15
"""So many digits fit a double's mantissa: one division by a power of ten then rounds correctly
(Clinger 1990, "How to read floating point numbers accurately")."""
INTEGER_DIGITS = 18


part = njit(cache=True, forceinline=True)


@part  # type: ignore[untyped-decorator]
def past_space(text: int, at: int, end: int) -> int:
    """The next position that holds no white space."""
    while at < end:
        found = byte(text, at)
        if found != 32 and found != 10 and found != 13 and found != 9:
            break
        at += 1
    return at


@part  # type: ignore[untyped-decorator]
def text_end(text: int, at: int, end: int) -> int:
    """Where the quotation mark stands that ends plain text; -1 where it is not plain."""
    while at < end:
        found = byte(text, at)
        if found == QUOTE:
            return at
        if found < 32 or found == ESCAPE or found > 127:
            return -1
        at += 1
    return -1


@part  # type: ignore[untyped-decorator]
def are_equal(text: int, at: int, other: int, start: int, size: int) -> bool:
    """Whether two runs of bytes are the same."""
    for i in range(size):  # noqa: SIM110 - numba knows no `all`
        if byte(text, at + i) != byte(other, start + i):
            return False
    return True


@part  # type: ignore[untyped-decorator]
def are_between(text: int, at: int, end: int, low: int, high: int) -> bool:
    """Whether all bytes are within bounds."""
    for i in range(at, end):  # noqa: SIM110 - numba knows no `all`
        if not low <= byte(text, i) <= high:
            return False
    return True


@part  # type: ignore[untyped-decorator]
def digits(text: int, at: int, end: int) -> tuple[int, int]:
    """The integer that the digits from `at` on write, as far as 64 bits go; where they end."""
    value = 0
    while at < end:
        digit = byte(text, at) - ZERO
        if not 0 <= digit <= 9:
            break
        value = value * 10 + digit
        at += 1
    return value, at


@part  # type: ignore[untyped-decorator]
def is_at(text: int, at: int, end: int, wanted: int) -> bool:
    """Whether this byte stands here."""
    return at < end and byte(text, at) == wanted


@part  # type: ignore[untyped-decorator]
def has_exponent(text: int, at: int, end: int) -> bool:
    """Whether an e or E stands here."""
    return at < end and (byte(text, at) | 32) == 101


@part  # type: ignore[untyped-decorator]
def integer(text: int, at: int, end: int) -> tuple[int, int]:
    """A JSON integer and where it ends; -1 for what is none, or is too long."""
    is_negative = is_at(text, at, end, MINUS)
    start = at + is_negative
    value, stop = digits(text, start, end)
    size = stop - start
    if size == 0 or size > INTEGER_DIGITS or (size > 1 and byte(text, start) == ZERO):
        return 0, -1
    if is_at(text, stop, end, POINT) or has_exponent(text, stop, end):
        return 0, -1
    return (-value if is_negative else value), stop


@part  # type: ignore[untyped-decorator]
def real(text: int, at: int, end: int) -> tuple[float, int, bool]:
    """A JSON number without exponent, where it ends (-1: none), and whether it is exact."""
    is_negative = is_at(text, at, end, MINUS)
    start = at + is_negative
    value, stop = digits(text, start, end)
    size = stop - start
    if size == 0 or (size > 1 and byte(text, start) == ZERO):
        return 0.0, -1, False
    power = 1
    if is_at(text, stop, end, POINT):
        point = stop + 1
        fraction, stop = digits(text, point, end)
        size += stop - point
        if stop == point:
            return 0.0, -1, False
        for _ in range(point, min(stop, point + EXACT_DIGITS)):
            power *= 10
        value = value * power + fraction
    if has_exponent(text, stop, end):
        return 0.0, -1, False
    mantissa = np.float64(value) / np.float64(power)
    return (-mantissa if is_negative else mantissa), stop, size <= EXACT_DIGITS


@part  # type: ignore[untyped-decorator]
def is_null(text: int, at: int, end: int) -> bool:
    """Whether the word null stands here."""
    return (
        end - at >= 4
        and byte(text, at) == 110
        and byte(text, at + 1) == 117
        and byte(text, at + 2) == 108
        and byte(text, at + 3) == 108
    )


@part  # type: ignore[untyped-decorator]
def is_choice(text: int, at: int, end: int, choices: int, bounds: Ints) -> bool:
    """Whether text is one of the choices."""
    for i in range(len(bounds) - 1):
        size = bounds[i + 1] - bounds[i]
        if size == end - at and are_equal(text, at, choices, bounds[i], size):
            return True
    return False


@part  # type: ignore[untyped-decorator]
def field_of(text: int, at: int, end: int, fields: Ints, names: int, expected: int) -> int:
    """The number of the field with this name, -1 for none; the expected one is tried first."""
    for step in range(len(fields)):
        field = expected + step
        if field >= len(fields):
            field -= len(fields)
        start, stop = fields[field, F_NAME_START], fields[field, F_NAME_END]
        if stop - start == end - at and are_equal(text, at, names, start, end - at):
            return field
    return -1


@part  # type: ignore[untyped-decorator]
def plain_text(
    text: int, at: int, end: int, fields: Ints, field: int, choices: int, choice_bounds: Ints
) -> int:
    """Where text ends that its field allows, at the closing mark; -1 where it does not."""
    if not is_at(text, at, end, QUOTE):
        return -1
    stop: int = text_end(text, at + 1, end)
    if stop < 0 or not fields[field, F_LOW] <= stop - at - 1 <= fields[field, F_HIGH]:
        return -1
    pattern = int(fields[field, F_PATTERN])
    if pattern == ANY:
        return stop
    if pattern == CHOICE:
        return stop if is_choice(text, at + 1, stop, choices, choice_bounds) else -1
    low, high = (ZERO, NINE) if pattern == DIGITS else (65, 90)
    return stop if are_between(text, at + 1, stop, low, high) else -1


@part  # type: ignore[untyped-decorator]
def read_value(
    text: int,
    at: int,
    end: int,
    fields: Ints,
    field: int,
    choices: int,
    choice_bounds: Ints,
    spans: Ints,
    numbers: Ints,
    reals: Floats,
    row: int,
) -> tuple[int, int]:
    """Read one field's value into its column; where it ends, or -1, and a verdict."""
    column, kind = fields[field, F_COLUMN], fields[field, F_KIND]
    low, high = fields[field, F_LOW], fields[field, F_HIGH]
    if fields[field, F_REQUIRED] == 0 and is_null(text, at, end):
        return at + 4, PLAIN
    if kind == TEXT:
        stop = plain_text(text, at, end, fields, field, choices, choice_bounds)
        spans[row, column, 0], spans[row, column, 1] = at + 1, stop
        return (stop + 1 if stop >= 0 else -1), PLAIN
    if kind == INTEGER:
        number, stop = integer(text, at, end)
        numbers[row, column] = number
        return (stop if low <= number <= high else -1), PLAIN
    value, stop, is_exact = real(text, at, end)
    place = spans.shape[1] - reals.shape[1] + column
    spans[row, place, 0], spans[row, place, 1] = at, stop
    reals[row, column] = value
    if not is_exact:
        return stop, LONG_REAL
    return (stop if low <= value <= high else -1), PLAIN


@part  # type: ignore[untyped-decorator]
def read_row(
    text: int,
    at: int,
    end: int,
    fields: Ints,
    names: int,
    choices: int,
    choice_bounds: Ints,
    spans: Ints,
    numbers: Ints,
    reals: Floats,
    row: int,
) -> int:
    """Read the record in text[at:end]; its verdict."""
    seen, expected, verdict = 0, 0, PLAIN
    at = past_space(text, at, end)
    if not is_at(text, at, end, OPEN):
        return DOUBT
    while True:
        at = past_space(text, at + 1, end)
        name = at + 1
        if not is_at(text, at, end, QUOTE):
            return DOUBT
        at = text_end(text, name, end)
        field = field_of(text, name, at, fields, names, expected) if at >= 0 else -1
        if field < 0 or (seen >> field) & 1:
            return DOUBT
        seen |= 1 << field
        expected = field + 1
        at = past_space(text, at + 1, end)
        if not is_at(text, at, end, COLON):
            return DOUBT
        at = past_space(text, at + 1, end)
        at, found = read_value(
            text, at, end, fields, field, choices, choice_bounds, spans, numbers, reals, row
        )
        verdict |= found
        if at < 0:
            return DOUBT
        at = past_space(text, at, end)
        if is_at(text, at, end, CLOSE):
            break
        if not is_at(text, at, end, COMMA):
            return DOUBT
    for field in range(len(fields)):
        if fields[field, F_REQUIRED] and not (seen >> field) & 1:
            return DOUBT
    return verdict if past_space(text, at + 1, end) == end else DOUBT


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def read_rows(
    text: int,
    bounds: Ints,
    longest: int,
    fields: Ints,
    names: int,
    choices: int,
    choice_bounds: Ints,
    spans: Ints,
    numbers: Ints,
    reals: Floats,
    verdicts: Ints,
) -> int:
    """Read all records, row i from text[bounds[i]:bounds[i + 1]]; how many are not plain.

    `text`, `names` and `choices` are addresses of bytes that the caller holds.
    """
    spans[:], numbers[:], reals[:] = NULL_SPAN, NULL_NUMBER, np.nan
    odd = 0
    for row in range(len(verdicts)):
        start, end = bounds[row], bounds[row + 1]
        verdicts[row] = DOUBT
        if end - start <= longest:
            verdicts[row] = read_row(
                text, start, end, fields, names, choices, choice_bounds, spans, numbers, reals, row
            )
        odd += verdicts[row] != PLAIN
    return odd


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def gathered(text: Bytes, spans: Ints, size: int) -> Bytes:
    """The bytes of all spans one after the other, `size` of them; null spans are empty."""
    out = np.empty(size, dtype=np.uint8)
    at = 0
    for row in range(len(spans)):
        for i in range(spans[row, 0], spans[row, 1]):
            out[np.uint64(at)] = text[np.uint64(i)]
            at += 1
    return out
