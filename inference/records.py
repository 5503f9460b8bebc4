"""Records that go into the scorer and records that come out, in columns."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

SENT_HEADER = "sent_us"
BATCH_HEADER = "batch_id"


@dataclass(frozen=True, slots=True)
class SourceBatch:
    """Records of one partition of the transaction topic, in offset order.

    `sent` is the producer's `sent_us` header, copied to the answer so that latency can be measured.
    """

    partition: int
    offsets: NDArray[np.int64]
    timestamps_us: NDArray[np.int64]
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    sent: Sequence[bytes | None]

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def next_offset(self) -> int:
        """The offset after the last record."""
        return int(self.offsets[-1]) + 1


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

    def rows(self) -> Iterator[tuple[str, bytes | None, bytes, bytes | None]]:
        """Topic, key, value and `sent_us` per record."""
        return zip(self.topics, self.keys, self.values, self.sent, strict=True)

    def __len__(self) -> int:
        return len(self.values)
