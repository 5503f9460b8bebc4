"""Brute force for the features across cards, from docs/features.md alone.

Shares no code with the kernel: it adds up all events of an entity's window for each answer.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

Row = Mapping[str, Any]
Vector = dict[str, float | None]

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
WINDOWS = {"1h": (MINUTE, 60), "24h": (HOUR, 24), "7d": (DAY, 7), "30d": (DAY, 30)}
ENTITIES = {"merchant": "merchant_id", "device": "device_id", "ip_prefix": "ip_prefix"}


Seen = NDArray[np.int64]
"""Events at an entity, a row (partition's clock, amount, card's bit) each, by clock."""
NOTHING: Seen = np.empty((0, 3), dtype=np.int64)


def clocks(rows: Iterable[Row]) -> dict[tuple[int, int], int]:
    """The clock of each (partition, offset): the largest timestamp so far, milliseconds."""
    found: dict[tuple[int, int], int] = {}
    latest: dict[int, int] = defaultdict(int)
    for row in sorted(rows, key=lambda row: (row["partition"], row["offset"])):
        partition = row["partition"]
        latest[partition] = max(latest[partition], row["timestamp_us"] // 1000)
        found[partition, row["offset"]] = latest[partition]
    return found


def limited(amount: int) -> int:
    """An amount as statistics see it."""
    return max(-50_000_000, min(50_000_000, amount))


@cache
def bit_of(card: str) -> int:
    """The bit that a card sets."""
    return xxhash.xxh64(card.encode(), seed=0).intdigest() % 256


def about(bits: NDArray[np.int64]) -> int:
    """How many cards, as the bits that they set tell."""
    return round(-256 * math.log(max(256 - len(np.unique(bits)), 1) / 256))


class SharedOracle:
    """Knows all events and labels of a history; answers for one event at a time."""

    def __init__(self, events: list[Row], labels: list[Row]) -> None:
        self._clocks = clocks(events)
        seen: dict[tuple[str, str], list[tuple[int, int, int]]] = defaultdict(list)
        for row in events:
            clock = self._clocks[row["partition"], row["offset"]]
            event = (clock, limited(row["amount_minor"]), bit_of(row["card_id"]))
            for entity, field in ENTITIES.items():
                if row[field] is not None:
                    seen[entity, row[field]].append(event)
        self._seen: dict[tuple[str, str], Seen] = {
            entity: np.array(sorted(held), dtype=np.int64) for entity, held in seen.items()
        }
        self._frauds = self._known_frauds(labels)

    @staticmethod
    def _known_frauds(labels: list[Row]) -> dict[str, list[tuple[int, int]]]:
        """By merchant (day, frauds more or less)."""
        at, counted = clocks(labels), defaultdict(list)
        known: dict[str, Row] = {}
        for row in sorted(labels, key=lambda row: (row["partition"], row["offset"])):
            before = known.get(row["transaction_id"])
            if before is not None and row["label_time"] < before["label_time"]:
                continue
            day = at[row["partition"], row["offset"]] // DAY
            if before is not None and before["is_fraud"]:
                counted[before["merchant_id"]].append((day, -1))
            if row["is_fraud"]:
                counted[row["merchant_id"]].append((day, 1))
            known[row["transaction_id"]] = row
        return counted

    def answer(self, event: Row) -> Vector:
        """Every cross-card feature that can be thought of, by name."""
        clock = self._clocks[event["partition"], event["offset"]]
        vector: Vector = {}
        for entity, field in ENTITIES.items():
            for window, (length, tiles) in WINDOWS.items():
                end = (clock - MINUTE) // length * length
                seen = self._seen.get((entity, event[field]), NOTHING)
                begin, stop = np.searchsorted(seen[:, 0], [end - tiles * length, end])
                inside = seen[begin:stop]
                found = self._numbers(event, clock, inside, tiles)
                is_known = event[field] is not None
                for name, value in found.items():
                    vector[f"{entity}_{name}_{window}"] = value if is_known else None
        return vector

    def _numbers(self, event: Row, clock: int, inside: Seen, days: int) -> Vector:
        total = int(inside[:, 1].sum())
        last = (clock - HOUR) // DAY
        changes = self._frauds.get(event["merchant_id"], ())
        frauds = max(sum(more for day, more in changes if last - days <= day < last), 0)
        amount = limited(event["amount_minor"])
        return {
            "count": len(inside),
            "sum": total,
            "cards": about(inside[:, 2]),
            "amount_to_mean": amount * len(inside) / total if total > 0 else None,
            "frauds": frauds,
            "fraud_risk": (frauds + 1) / (len(inside) + 200),
        }
