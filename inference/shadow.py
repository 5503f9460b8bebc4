"""Shadow scoring: what the challenger would have said of the same events, to a topic of its own.

It takes part only while it costs little: once it has used more than its share of the time, batches
are left out until the share is met again. Nothing that it does reaches a decision.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import orjson

from contracts.messages import SCHEMA_VERSION
from contracts.transaction_rows import (
    AMOUNT_MINOR,
    CARD_ID,
    EVENT_TIME,
    TRANSACTION_ID,
    EventRows,
)
from inference.decision_json import KINDS, DecisionColumns
from inference.ports import Floats, Model


@dataclass(slots=True)
class ShadowBudget:
    """A share of the time, 0 (never) to 1 (always), counted from the first batch on."""

    share: float
    clock: Callable[[], float] = time.monotonic
    _began: float | None = None
    _spent: float = 0.0

    def allows(self) -> bool:
        """Whether the shadow may score a batch now."""
        if self._began is None:
            self._began = self.clock()
        elapsed = self.clock() - self._began
        return self.share > 0 and self._spent <= self.share * elapsed

    def spend(self, seconds: float) -> None:
        """Count what a batch took."""
        self._spent += seconds


def shadow_scores(
    topic: str, events: EventRows, values: Floats, challenger: Model, champion: str
) -> list[bytes]:
    """A `ShadowScore` per event; row i of `events` and of `values` (features) belong together."""
    score = challenger.score(values)
    names = [name.decode() for name in events.rows.words(TRANSACTION_ID)]
    decided = challenger.decide(score, events.rows.numbers[:, AMOUNT_MINOR], names)
    fixed = {
        "schema_version": SCHEMA_VERSION,
        "model_version": challenger.version,
        "champion_version": champion,
        "feature_set": challenger.feature_hash,
    }
    rows = zip(
        names,
        [card.decode() for card in events.rows.words(CARD_ID)],
        events.rows.numbers[:, EVENT_TIME].tolist(),
        events.partitions.tolist(),
        events.offsets.tolist(),
        score.tolist(),
        decided.decision.tolist(),
        strict=True,
    )
    return [
        orjson.dumps(
            fixed
            | {
                "transaction_id": name,
                "card_id": card,
                "event_time": at,
                "score": probability,
                "decision": KINDS[code],
                "source": {"topic": topic, "partition": partition, "offset": offset},
            }
        )
        for name, card, at, partition, offset, probability, code in rows
    ]


def is_rival(challenger: Model | None, decided: DecisionColumns) -> bool:
    """Whether there is a challenger other than the model that decided, with features to score."""
    return (
        challenger is not None
        and decided.values is not None
        and decided.score is not None
        and challenger.version != decided.model_version
        and bool(np.size(decided.values))
    )
