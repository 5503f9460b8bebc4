"""Labels to what they change: a transaction's newest label counts, corrections take back."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features import layout
from features.hashing import hash_column

Ints = NDArray[np.int64]


@dataclass(slots=True)
class LabelLedger:
    """Remembers of each labelled transaction (label time, is fraud, merchant).

    A transaction's labels stand in one partition, so they come in the order of their offsets. A
    label counts unless one with a later label time came before it; saying the same again changes
    nothing.
    """

    _known: dict[str, tuple[int, bool, int]] = field(default_factory=dict)

    def effects(self, labels: pa.Table, clocks: Ints) -> Ints:
        """Rows (merchant, day, +1 or -1) of labels in offset order, by their partition's clock."""
        columns: Sequence[list[object]] = (
            labels["transaction_id"].to_pylist(),
            labels["label_time"].to_pylist(),
            labels["is_fraud"].to_pylist(),
            hash_column(labels["merchant_id"]).tolist(),
            (clocks // layout.DAY).tolist(),
        )
        rows: list[tuple[int, int, int]] = []
        for name, time, is_fraud, merchant, day in zip(*columns, strict=True):
            before = self._known.get(name)
            if before is not None and time < before[0]:
                continue
            if before is not None and before[1]:
                rows.append((before[2], day, -1))
            if is_fraud:
                rows.append((merchant, day, 1))
            self._known[name] = (time, is_fraud, merchant)
        return np.array(rows, dtype=np.int64).reshape(len(rows), 3)
