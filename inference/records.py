"""Records that go into the scorer and records that come out, in columns."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from contracts.spans import Span, spans_of

SENT_HEADER = "sent_us"
BATCH_HEADER = "batch_id"
TIME_DIGITS = 16
"""Of microseconds since the epoch, until the year 2286."""
OLDEST_MS = 3_600_000
"""What was sent longer ago was not sent live."""
SKEW_MS = 10_000
"""Clocks that a time server keeps differ by far less."""


def age_ms(header: bytes | None, now_ms: float) -> float | None:
    """How long ago a record was sent by its header, which anybody may write; None: no likely time.

    Clocks may differ, so that it may be a little below 0.
    """
    if header is None or len(header) > TIME_DIGITS or not header.isdigit():
        return None
    age = now_ms - int(header) / 1000
    return age if -SKEW_MS < age < OLDEST_MS else None


@dataclass(frozen=True)
class SourceBatch:
    """Records of the transaction topic; those of a partition stand together, in offset order.

    `sent` is the producer's `sent_us` header, copied to the answer so that latency can be measured.
    """

    partitions: NDArray[np.int32]
    offsets: NDArray[np.int64]
    timestamps_us: NDArray[np.int64]
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    sent: Sequence[bytes | None]

    def __len__(self) -> int:
        return len(self.offsets)

    @cached_property
    def spans(self) -> list[Span]:
        """Each partition's rows."""
        return spans_of(self.partitions)

    def first_offset(self, span: Span) -> int:
        """The offset of a partition's first record."""
        return int(self.offsets[span.start])

    def next_offset(self, span: Span) -> int:
        """The offset after a partition's last record."""
        return int(self.offsets[span.stop - 1]) + 1

    def part(self, span: Span) -> "SourceBatch":
        """The records of one partition."""
        columns = (getattr(self, column.name) for column in fields(self))
        return SourceBatch(*(column[span.rows] for column in columns))


@dataclass(slots=True)
class Answers:
    """Records to write, as parallel lists, and what they are: `tally` counts by kind and tier."""

    topics: list[str] = field(default_factory=list)
    keys: list[bytes | None] = field(default_factory=list)
    values: list[bytes] = field(default_factory=list)
    sent: list[bytes | None] = field(default_factory=list)
    tally: Counter[str] = field(default_factory=Counter)

    def add(
        self,
        topic: str,
        keys: Sequence[bytes | None],
        values: Sequence[bytes],
        sent: Sequence[bytes | None],
    ) -> None:
        """Append records for one topic."""
        self.topics.extend([topic] * len(values))
        self.keys.extend(keys)
        self.values.extend(values)
        self.sent.extend(sent)

    def extend(self, others: "Answers") -> None:
        """Append all records of others."""
        self.topics.extend(others.topics)
        self.keys.extend(others.keys)
        self.values.extend(others.values)
        self.sent.extend(others.sent)
        self.tally.update(others.tally)

    def rows(self) -> Iterator[tuple[str, bytes | None, bytes, bytes | None]]:
        """Topic, key, value and `sent_us` per record."""
        return zip(self.topics, self.keys, self.values, self.sent, strict=True)

    def __len__(self) -> int:
        return len(self.values)
