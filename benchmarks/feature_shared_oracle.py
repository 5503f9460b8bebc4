"""Brute force for the features across cards, from docs/features.md alone.

Shares no code with the kernel: it looks through all events of an entity for each answer.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import xxhash

Row = Mapping[str, Any]
Vector = dict[str, float | None]

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
WINDOWS = {"1h": (MINUTE, 60), "24h": (HOUR, 24), "7d": (DAY, 7), "30d": (DAY, 30)}
ENTITIES = {"merchant": "merchant_id", "device": "device_id", "ip_prefix": "ip_prefix"}


@dataclass(frozen=True)
class Seen:
    """An event at an entity, at its partition's clock."""

    clock: int
    amount: int
    card: str


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


def about(cards: Iterable[str]) -> int:
    """How many cards, as the bits that they set tell."""
    bits = {xxhash.xxh64(card.encode(), seed=0).intdigest() % 256 for card in cards}
    return round(-256 * math.log(max(256 - len(bits), 1) / 256))


class SharedOracle:
    """Knows all events and labels of a history; answers for one event at a time."""

    def __init__(self, events: list[Row], labels: list[Row]) -> None:
        self._clocks = clocks(events)
        self._seen: dict[tuple[str, str], list[Seen]] = defaultdict(list)
        for row in events:
            clock = self._clocks[row["partition"], row["offset"]]
            seen = Seen(clock, limited(row["amount_minor"]), row["card_id"])
            for entity, field in ENTITIES.items():
                if row[field] is not None:
                    self._seen[entity, row[field]].append(seen)
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
                inside = [
                    seen
                    for seen in self._seen.get((entity, event[field]), ())
                    if end - tiles * length <= seen.clock < end
                ]
                found = self._numbers(event, clock, inside, tiles)
                is_known = event[field] is not None
                for name, value in found.items():
                    vector[f"{entity}_{name}_{window}"] = value if is_known else None
        return vector

    def _numbers(self, event: Row, clock: int, inside: list[Seen], days: int) -> Vector:
        total = sum(seen.amount for seen in inside)
        last = (clock - HOUR) // DAY
        changes = self._frauds.get(event["merchant_id"], ())
        frauds = max(sum(more for day, more in changes if last - days <= day < last), 0)
        amount = limited(event["amount_minor"])
        return {
            "count": len(inside),
            "sum": total,
            "cards": about(seen.card for seen in inside),
            "amount_to_mean": amount * len(inside) / total if total > 0 else None,
            "frauds": frauds,
            "fraud_risk": (frauds + 1) / (len(inside) + 200),
        }
