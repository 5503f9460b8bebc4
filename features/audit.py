"""Were the served features right? Recompute sampled decisions from Kafka and compare bit for bit.

Nothing of the serving path is trusted: not the store, not the batches, not the process that served.
Only the kernel is shared; that the kernel itself is right is what the parity tests are for.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from contracts.errors import StateError
from contracts.kafka import OffsetRange, RawRecord, full_ranges, read_range
from contracts.settings import Settings
from features.definition import FEATURE_SET, FeatureSet
from features.engine import FeatureMatrix
from features.recompute import WholeTopics, recompute

NEWEST_PER_PARTITION = 250_000
"""Decisions per partition that a sample is drawn from: those that were made last."""
FLAGS = ("is_late", "is_duplicate")


@dataclass(frozen=True, slots=True)
class ServedVector:
    """What a decision says it was made from; `partition` and `offset` name the transaction."""

    card_id: str
    partition: int
    offset: int
    features: tuple[float | None, ...]
    is_late: bool
    is_duplicate: bool


@dataclass(frozen=True, slots=True)
class AuditReport:
    """`mismatches_by_feature` counts decisions; `skipped` have no vector, or one of another set."""

    checked: int
    skipped: int
    mismatched: int
    mismatches_by_feature: dict[str, int]

    @property
    def is_clean(self) -> bool:
        """At least one decision was recomputed, and all of them agree."""
        return self.checked > 0 and self.mismatched == 0


class Records(Protocol):
    """Where decisions and transactions are read from."""

    def decisions(self) -> Iterator[RawRecord]:
        """The newest decisions."""

    def transactions(self) -> Iterator[pa.Table]:
        """All transactions, tables of one partition in offset order, partition after partition."""

    def labels(self) -> Iterator[pa.Table]:
        """All labels likewise."""


class KafkaRecords(WholeTopics):
    """The real topics."""

    def decisions(self) -> Iterator[RawRecord]:
        """See `Records`."""
        for span in full_ranges(self._kafka, self._kafka.scores_topic):
            start = max(span.start, span.end - NEWEST_PER_PARTITION)
            newest = OffsetRange(span.topic, span.partition, start, span.end)
            for records in read_range(self._kafka, newest, batch_size=50_000):
                yield from records


def audit_decisions(settings: Settings, sample: int, *, seed: int = 0) -> AuditReport:
    """Recompute the features of `sample` random decisions of `fraud_scores`.

    Raises:
        BrokerError: Kafka does not answer.
        StateError: a decision names a transaction that its topic does not hold.
    """
    return audit(KafkaRecords(settings.kafka), sample, seed=seed)


def audit(
    records: Records, sample: int, *, seed: int = 0, feature_set: FeatureSet = FEATURE_SET
) -> AuditReport:
    """See `audit_decisions`; over any records."""
    chosen = drawn(records.decisions(), sample, np.random.default_rng(seed))
    served = [vector for record in chosen if (vector := _vector(record, feature_set)) is not None]
    cards = {vector.card_id for vector in served}
    again = recompute(records.transactions(), records.labels(), cards, feature_set)
    rows = _rows(again.events, served)
    counts, mismatched = _compare(served, rows, again.features, feature_set)
    return AuditReport(len(served), len(chosen) - len(served), mismatched, counts)


def drawn(
    records: Iterable[RawRecord], sample: int, random: np.random.Generator
) -> list[RawRecord]:
    """A uniform sample of a stream of unknown length (reservoir sampling, algorithm R)."""
    kept: list[RawRecord] = []
    for seen, record in enumerate(records):
        if len(kept) < sample:
            kept.append(record)
        elif (place := int(random.integers(0, seen + 1))) < sample:
            kept[place] = record
    return kept


def _vector(record: RawRecord, feature_set: FeatureSet) -> ServedVector | None:
    body: dict[str, Any] = orjson.loads(record.value or b"{}")
    if body.get("feature_set") != feature_set.hash or not body.get("features"):
        return None
    source = body["source"]
    return ServedVector(
        body["card_id"],
        source["partition"],
        source["offset"],
        tuple(body["features"]),
        body["is_late"],
        body["is_duplicate"],
    )


def _rows(events: pa.Table, served: list[ServedVector]) -> NDArray[np.int64]:
    """The row of `events` that each decision answers."""
    places = zip(events["partition"].to_pylist(), events["offset"].to_pylist(), strict=True)
    row_of = {place: row for row, place in enumerate(places)}
    try:
        return np.array([row_of[v.partition, v.offset] for v in served], dtype=np.int64)
    except KeyError as error:
        raise StateError(
            "a decision names a transaction that Kafka does not hold under its card",
            value=error.args[0],
            remedy="Was the transactions topic deleted or retention shortened?",
        ) from error


def _compare(
    served: list[ServedVector],
    rows: NDArray[np.int64],
    recomputed: FeatureMatrix,
    feature_set: FeatureSet,
) -> tuple[dict[str, int], int]:
    """Mismatches by feature and flag, and the number of decisions with any."""
    counts: Counter[str] = Counter()
    mismatched = 0
    for vector, row in zip(served, rows.tolist(), strict=True):
        truth = [None if x != x else x for x in recomputed.values[row].tolist()]
        given = zip(feature_set.names, vector.features, truth, strict=True)
        wrong = [name for name, was, is_now in given if was != is_now]
        wrong += [
            flag for flag in FLAGS if getattr(vector, flag) != bool(getattr(recomputed, flag)[row])
        ]
        counts.update(wrong)
        mismatched += bool(wrong)
    return dict(counts.most_common()), mismatched
