"""The audit finds every served vector that Kafka does not bear out, and nothing else."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest

from contracts.errors import StateError
from contracts.kafka import RawRecord
from features.audit import audit, drawn
from features.definition import FEATURE_SET
from features.engine import replay
from features.history import events_of

START_US = 1_767_225_600_000_000
CARDS = 5


@dataclass
class Topics:
    """Both topics in memory, the decisions made by a replay."""

    events: list[RawRecord] = field(default_factory=list)
    made: list[dict[str, Any]] = field(default_factory=list)

    def decisions(self) -> Iterator[RawRecord]:
        """See `Records`."""
        for offset, body in enumerate(self.made):
            yield RawRecord(0, offset, 0, b"", orjson.dumps(body))

    def transactions(self) -> Iterator[pa.Table]:
        """See `Records`; in two tables."""
        yield from (events_of(part) for part in (self.events[:9], self.events[9:]) if part)

    def labels(self) -> Iterator[pa.Table]:
        """See `Records`; nobody has told of any fraud."""
        return iter(())


def transaction(offset: int) -> RawRecord:
    """A record of card `offset` mod CARDS, an hour after the one before."""
    card = f"card-{offset % CARDS}"
    time_us = START_US + offset * 3_600_000_000
    body = {
        "schema_version": 1,
        "transaction_id": f"t{offset}",
        "event_time": time_us,
        "card_id": card,
        "merchant_id": f"m{offset % 3}",
        "amount_minor": 100 + offset,
    }
    return RawRecord(0, offset, time_us // 1000, card.encode(), orjson.dumps(body))


@pytest.fixture
def topics() -> Topics:
    """Forty transactions and their right decisions."""
    topics = Topics([transaction(offset) for offset in range(40)])
    served = replay(events_of(topics.events))
    for offset, values in enumerate(served.values.tolist()):
        vector = [None if np.isnan(value) else value for value in values]
        topics.made.append(
            {
                "card_id": f"card-{offset % CARDS}",
                "feature_set": FEATURE_SET.hash,
                "source": {"topic": "transactions", "partition": 0, "offset": offset},
                "features": vector,
                "is_late": False,
                "is_duplicate": False,
            }
        )
    return topics


def test_right_decisions_pass(topics: Topics) -> None:
    """What a replay gives is what the audit expects."""
    report = audit(topics, 30)
    assert (report.checked, report.mismatched, report.is_clean) == (30, 0, True)


def test_one_wrong_number_is_named(topics: Topics) -> None:
    """A mismatch is counted under its feature, however small."""
    place = FEATURE_SET.names.index("card_mean_30d")
    right = topics.made[17]["features"][place]
    topics.made[17]["features"][place] = math.nextafter(right, math.inf)
    topics.made[18]["is_late"] = True
    report = audit(topics, 40)
    assert report.mismatches_by_feature == {"card_mean_30d": 1, "is_late": 1}
    assert (report.mismatched, report.is_clean) == (2, False)


def test_other_feature_sets_and_empty_vectors_are_skipped(topics: Topics) -> None:
    """Decisions of another set, or made without features, are counted but not compared."""
    topics.made[0]["feature_set"] = "another"
    topics.made[1]["features"] = []
    report = audit(topics, 40)
    assert (report.checked, report.skipped) == (38, 2)


def test_a_decision_about_nothing_is_an_error(topics: Topics) -> None:
    """A source that Kafka does not hold is never passed over."""
    topics.events.pop(7)
    with pytest.raises(StateError, match="does not hold"):
        audit(topics, 40)


def test_an_audit_of_nothing_is_not_clean() -> None:
    """No decisions, no proof."""
    report = audit(Topics(), 10)
    assert (report.checked, report.is_clean) == (0, False)


def test_the_sample_is_drawn_evenly() -> None:
    """Early and late decisions are equally likely to be audited."""
    records = [RawRecord(0, offset, 0, b"", b"") for offset in range(100)]
    random = np.random.default_rng(1)
    counts = np.zeros(100)
    for _ in range(400):
        for record in drawn(records, 25, random):
            counts[record.offset] += 1
    assert counts.min() > 60
    assert counts.max() < 140
