"""Hand-written stand-ins for the seams of inference, and transactions to feed it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from features.definition import FEATURE_SET
from inference.records import SourceBatch

TIME_US = 1_750_000_000_000_000
SIZE = len(FEATURE_SET.names)


@dataclass(frozen=True, slots=True)
class FakeDecided:
    """A policy's answer, spelt out."""

    decision: NDArray[np.int8]
    expected_loss_minor: NDArray[np.int64]
    control: NDArray[np.bool_]
    propensity: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FakeModel:
    """Scores by the amount feature; declines from 0.9, reviews from 0.5."""

    version: str = "7"
    feature_hash: str = FEATURE_SET.hash
    policy_version: str = "policy-fake"

    def score(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """One percent per unit of the amount, at most 1."""
        amount = values[:, FEATURE_SET.names.index("transaction_amount")]
        return np.clip(amount / 10_000, 0.0, 1.0)

    def decide(
        self,
        score: NDArray[np.float64],
        amount_minor: NDArray[np.int64],
        transaction_ids: Sequence[str],
    ) -> FakeDecided:
        """Fixed thresholds, nobody in the control group."""
        code = (score >= 0.5).astype(np.int8) + (score >= 0.9).astype(np.int8)
        loss = np.rint(score * amount_minor).astype(np.int64)
        return FakeDecided(code, loss, np.zeros(len(score), bool), np.ones(len(score)))

    def explained(
        self, values: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The score and its shares."""
        return self.score(values), self.shares(values)

    def shares(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The amount counts twice as much as the hour; nothing else counts."""
        found = np.zeros_like(values)
        found[:, FEATURE_SET.names.index("transaction_amount")] = 2.0
        found[:, FEATURE_SET.names.index("transaction_hour")] = 1.0
        return found

    def exact_contributions(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """A tenth more than the path contributions, so that tests see which were used."""
        return self.shares(values) * 1.1


@dataclass(slots=True)
class FakeRegistry:
    """A registry whose alias and models a test sets; `failure` is raised while it is set."""

    champion: str | None = None
    models: dict[str, FakeModel] = field(default_factory=dict)
    failure: Exception | None = None
    loads: list[str] = field(default_factory=list)
    challenger: str | None = None

    def champion_version(self) -> str | None:
        """What the alias names."""
        if self.failure is not None:
            raise self.failure
        return self.champion

    def challenger_version(self) -> str | None:
        """What the challenger's alias names."""
        return self.challenger

    def load(self, version: str) -> FakeModel:
        """The model that the test put there."""
        if self.failure is not None:
            raise self.failure
        self.loads.append(version)
        return self.models[version]


def transaction(number: int, **changes: Any) -> dict[str, Any]:
    """A valid transaction of one of three cards, a minute after the one before."""
    return {
        "schema_version": 1,
        "transaction_id": f"t{number}",
        "event_time": TIME_US + number * 60_000_000,
        "card_id": f"c{number % 3}",
        "merchant_id": f"m{number % 5}",
        "amount_minor": 1000 + number,
        "merchant_category": "5411",
        "currency": "EUR",
        "utc_offset_minutes": 60,
        "country": "FR",
        "latitude": 48.85,
        "longitude": 2.35,
        "channel": "chip",
        "device_id": None,
        "ip_prefix": None,
    } | changes


def source(values: Sequence[Any], *, first: int = 0, partition: int = 0) -> SourceBatch:
    """A batch whose values are mappings (sent as JSON), bytes or None."""
    raw = [orjson.dumps(value) if isinstance(value, dict) else value for value in values]
    offsets = np.arange(first, first + len(raw), dtype=np.int64)
    partitions = np.full(len(raw), partition, np.int32)
    keys = [str(v["card_id"]).encode() if isinstance(v, dict) else None for v in values]
    sent = [str(TIME_US + int(offset)).encode() for offset in offsets]
    return SourceBatch(partitions, offsets, TIME_US + offsets * 60_000_000, keys, raw, sent)
