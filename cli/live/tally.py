"""Counts over decisions and labels as they arrive: pure state, no I/O.

Figures that need knowledge of the truth say how much of it there is: labels come days late, so
frauds are 'confirmed so far', and recall is given only for world days that have matured.
"""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

DAY_US = 86_400_000_000
RATE_WINDOW_MS = 10_000
LATENCY_WINDOW = 20_000


@dataclass(frozen=True, slots=True)
class Decided:
    """What the tally keeps of a decision."""

    decision: str
    amount_minor: int
    event_time: int


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Latency in milliseconds from the producer's send to the score's append at the broker."""

    p50: float
    p95: float
    p99: float


@dataclass(slots=True)
class Tally:
    """Everything that the live view and the summary show of a stream."""

    maturity_days: int
    decisions: Counter[str] = field(default_factory=Counter)
    tiers: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    money_minor: Counter[str] = field(default_factory=Counter)
    confirmed: Counter[str] = field(default_factory=Counter)
    confirmed_money_minor: Counter[str] = field(default_factory=Counter)
    repeats: int = 0
    differing_repeats: int = 0
    late: int = 0
    duplicates: int = 0
    last_version: str = ""
    world_time_us: int = 0
    last_decline: str = ""
    _by_source: dict[tuple[str, int, int], int] = field(default_factory=dict)
    _by_transaction: dict[tuple[str, str], Decided] = field(default_factory=dict)
    _frauds: dict[tuple[str, str], bool] = field(default_factory=dict)
    _first_appended_ms: int = 0
    _arrivals: deque[tuple[int, int]] = field(default_factory=deque)
    _latencies_ms: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCY_WINDOW))

    @property
    def decided(self) -> int:
        """Transaction records with a decision; repeats are not counted."""
        return self.decisions.total()

    def add_decision(
        self, decision: Mapping[str, Any], *, appended_ms: int, age_ms: float | None
    ) -> None:
        """Count a record of the score topic; the first one per source is the decision."""
        source = decision["source"]
        identity = (source["topic"], source["partition"], source["offset"])
        fingerprint = hash((decision["decision"], decision["score"], decision["model_version"]))
        if identity in self._by_source:
            self.repeats += 1
            self.differing_repeats += self._by_source[identity] != fingerprint
            return
        self._by_source[identity] = fingerprint
        self._count(decision)
        self._time(appended_ms, age_ms)

    def _count(self, decision: Mapping[str, Any]) -> None:
        kind, amount = decision["decision"], decision["amount_minor"]
        self.decisions[kind] += 1
        self.tiers[decision["tier"]] += 1
        self.versions[decision["model_version"]] += 1
        self.money_minor[kind] += amount
        self.late += decision["is_late"]
        self.duplicates += decision["is_duplicate"]
        self.last_version = decision["model_version"]
        self.world_time_us = max(self.world_time_us, decision["event_time"])
        if decision["is_duplicate"]:
            return
        if kind == "decline" and decision["tier"] == "model":
            self.last_decline = decision["transaction_id"]
        key = (decision["card_id"], decision["transaction_id"])
        self._by_transaction[key] = Decided(kind, amount, decision["event_time"])
        if self._frauds.get(key):
            self._confirm(key, 1)

    def _time(self, appended_ms: int, age_ms: float | None) -> None:
        self._arrivals.append((appended_ms, 1))
        while self._arrivals[0][0] < appended_ms - RATE_WINDOW_MS:
            self._arrivals.popleft()
        self._first_appended_ms = self._first_appended_ms or appended_ms
        # What was sent before the stream was up waited for it: that is a backlog, no latency.
        if age_ms is not None and appended_ms - age_ms >= self._first_appended_ms:
            self._latencies_ms.append(age_ms)

    def add_label(self, label: Mapping[str, Any]) -> None:
        """Count a label on a decided transaction; a correction takes the fraud back."""
        key = (label["card_id"], label["transaction_id"])
        was_fraud, is_fraud = self._frauds.get(key, False), label["is_fraud"]
        self._frauds[key] = is_fraud
        if key in self._by_transaction and was_fraud != is_fraud:
            self._confirm(key, 1 if is_fraud else -1)

    def _confirm(self, key: tuple[str, str], change: int) -> None:
        decided = self._by_transaction[key]
        self.confirmed[decided.decision] += change
        self.confirmed_money_minor[decided.decision] += change * decided.amount_minor

    def rate(self, now_ms: int) -> float:
        """Decisions per second over the last ten seconds."""
        recent = sum(n for at, n in self._arrivals if at >= now_ms - RATE_WINDOW_MS)
        return recent / (RATE_WINDOW_MS / 1000)

    def latency(self) -> Percentiles | None:
        """Percentiles over the last decisions, or None before the first."""
        if not self._latencies_ms:
            return None
        ordered = sorted(self._latencies_ms)
        return Percentiles(*(ordered[int(q * (len(ordered) - 1))] for q in (0.5, 0.95, 0.99)))

    def matured_recall(self) -> tuple[int, int]:
        """Frauds stopped (declined or reviewed) and all frauds among matured transactions."""
        horizon = self.world_time_us - self.maturity_days * DAY_US
        matured = [
            self._by_transaction[key].decision
            for key, is_fraud in self._frauds.items()
            if is_fraud
            and key in self._by_transaction
            and self._by_transaction[key].event_time <= horizon
        ]
        return sum(kind != "approve" for kind in matured), len(matured)
