"""The one scorer: bytes in, decisions, rejections and alerts out, a batch at a time.

Order: read state and serve features, write state and score meanwhile, hand the answers back; the
caller sends them, has the state marked, and only when all have arrived commits its offsets. A crash
between any two replays the batch from the same offset: states can be replayed from the committed
one on, so the features, and with the same model the bytes of the answers, are the same again.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from contracts.columns import BadRow, parse_transactions
from contracts.errors import BrokerError, StateError, StoreError, TilesError
from contracts.messages import Tier
from contracts.rule_settings import FallbackSettings
from contracts.settings import KafkaSettings
from contracts.transaction_rows import AMOUNT_MINOR, EventRows
from features.definition import FEATURE_SET, FeatureSet
from features.engine import FeatureMatrix
from features.partitioning import home_partitions
from inference.decision_json import KINDS, DecisionColumns, encode_decisions
from inference.ports import Decided, Features, Floats, Model
from inference.reasons import ReasonMap, Reasons, exact_where, ruled_reasons, top_reasons
from inference.records import Answers, SourceBatch
from inference.rejects import encode_rejects
from inference.row_views import Names, RuleColumns
from inference.shadow import ShadowBudget, is_rival, shadow_scores
from models.policy_kernel import APPROVE, DECLINE
from models.rules import RuleTier

logger = logging.getLogger(__name__)

FAILURES = (StoreError, StateError, BrokerError, TilesError)
"""Without these servers the rules decide."""


@dataclass(frozen=True, slots=True)
class Topics:
    """Names of the topic that is read and of those that are written."""

    transactions: str
    scores: str
    rejects: str
    alerts: str | None
    shadow: str = ""

    @classmethod
    def of(cls, kafka: KafkaSettings) -> "Topics":
        """The settings' topics; no alerts topic when copies are not wanted."""
        alerts = kafka.alerts_topic if kafka.copy_alerts else None
        topics = (kafka.topic, kafka.scores_topic, kafka.rejects_topic, alerts)
        return cls(*topics, shadow=kafka.shadow_topic)


@dataclass(frozen=True, slots=True)
class Read:
    """A batch, the transactions in it with their keys and times of sending, and the rest of it."""

    batch: SourceBatch
    events: EventRows
    keys: list[bytes | None]
    sent: list[bytes | None]
    bad: Sequence[BadRow]

    @classmethod
    def of(cls, batch: SourceBatch) -> "Read":
        """Parse a batch."""
        parsed = parse_transactions(batch.values)
        index, rows = parsed.index, parsed.index.tolist()
        events = EventRows(
            parsed.rows, batch.partitions[index], batch.offsets[index], batch.timestamps_us[index]
        )
        keys, sent = [batch.keys[row] for row in rows], [batch.sent[row] for row in rows]
        return cls(batch, events, keys, sent, parsed.bad)


class Scorer:
    """Pure given events, state and model; remembers only which state it has ensured."""

    def __init__(
        self,
        topics: Topics,
        features: Features,
        fallback: FallbackSettings,
        *,
        feature_set: FeatureSet = FEATURE_SET,
        shadow: ShadowBudget | None = None,
        partitions: int = 0,
    ) -> None:
        self._partitions = partitions
        self._shadow = shadow or ShadowBudget(0.0)
        self._topics = topics
        self._features = features
        self._rules = RuleTier(fallback)
        self._extra_rules = RuleTier(fallback, with_model=True)
        self._feature_set = feature_set
        self._reason_map = ReasonMap.of(feature_set)
        self._next_offset: dict[int, int] = {}
        self._unmarked: dict[int, tuple[int, int]] = {}

    def score(
        self,
        batch: SourceBatch,
        *,
        committed: Mapping[int, int],
        model: Model | None,
        challenger: Model | None = None,
    ) -> Answers:
        """Answer every record of a batch.

        Offsets from a partition's `committed` one on may be fed again. When the features of several
        partitions cannot be had together each is tried alone, so that only those in trouble suffer.
        Without a model the rules decide, with the features beside for the record; without a store
        they decide on the event alone. A challenger scores beside, never instead.
        """
        if len(batch) == 0:
            return Answers()
        spans, read = batch.spans, Read.of(batch)
        try:
            for span in spans:
                if self._next_offset.get(span.partition) != batch.first_offset(span):
                    self._ensure(span.partition, batch.first_offset(span))
            try:
                return self._answered(read, committed, model, challenger)
            except StateError:
                if len(spans) > 1:
                    raise
                # Wiped or rebuilt since this process last looked: look, and try once more.
                self._ensure(spans[0].partition, batch.first_offset(spans[0]))
                return self._answered(read, committed, model, challenger)
        except FAILURES as error:
            if len(spans) == 1:
                answers = Answers()
                self._next_offset.pop(spans[0].partition, None)
                _fallen_back(spans[0].partition, error, answers)
                self._answer(read, None, model, challenger, answers)
                return answers
        together = Answers()
        for span in spans:
            part = batch.part(span)
            together.extend(
                self.score(part, committed=committed, model=model, challenger=challenger)
            )
        return together

    def _answered(
        self,
        read: Read,
        committed: Mapping[int, int],
        model: Model | None,
        challenger: Model | None,
    ) -> Answers:
        """Answers by features and a model; the state is on its way to the store meanwhile."""
        answers = Answers()
        matrix, settle = self._features.serve_ahead(read.events, committed=committed)
        self._answer(read, matrix, model, challenger, answers)
        settle()
        for span in read.batch.spans:
            after = read.batch.next_offset(span)
            self._next_offset[span.partition] = after
            self._unmarked[span.partition] = (committed[span.partition], after)
        return answers

    def _answer(
        self,
        read: Read,
        matrix: FeatureMatrix | None,
        model: Model | None,
        challenger: Model | None,
        answers: Answers,
    ) -> None:
        if len(read.events):
            decided = self._decide(read, matrix, model, answers)
            self._score_in_shadow(read, decided, challenger, answers)
        self._reject(read, answers)

    def _ensure(self, partition: int, first: int) -> None:
        """Have a partition's state start at an offset; what was served before is marked first."""
        self.mark([partition])
        self._features.ensure(partition, first)
        self._next_offset[partition] = first

    def mark(self, partitions: Iterable[int]) -> None:
        """Write down how far the state of partitions is, before what was answered is committed.

        So, unless the rules decided, the state says no less than what is committed, and a restart
        need not catch up. A state that cannot be marked is ensured before the next batch.
        """
        marks = {p: self._unmarked.pop(p) for p in partitions if p in self._unmarked}
        if marks and not self._are_marked(marks):
            for partition, place in marks.items():
                if len(marks) == 1 or not self._are_marked({partition: place}):
                    self._next_offset.pop(partition, None)

    def _are_marked(self, places: Mapping[int, tuple[int, int]]) -> bool:
        try:
            self._features.mark(places)
        except (StoreError, StateError) as error:
            logger.warning("the state of partitions %s was not marked: %s", sorted(places), error)
            return False
        return True

    def forget(self, partition: int) -> None:
        """Somebody else has a partition now: its state may be anywhere when it comes back."""
        self._next_offset.pop(partition, None)
        self._unmarked.pop(partition, None)

    def _decide(
        self, read: Read, matrix: FeatureMatrix | None, model: Model | None, answers: Answers
    ) -> DecisionColumns:
        events = read.events
        if model is None or matrix is None:
            decided = self._by_rules(events, matrix)
        else:
            decided = self._by_model(events, matrix, model)
        encoded = encode_decisions(self._topics.transactions, events, decided)
        self._correct_misplaced(events, decided, encoded, answers)
        answers.add(self._topics.scores, read.keys, encoded, read.sent)
        self._alert(read, decided, encoded, answers)
        _count(decided, answers)
        return decided

    def _correct_misplaced(
        self,
        events: EventRows,
        decided: DecisionColumns,
        encoded: list[bytes],
        answers: Answers,
    ) -> None:
        """Records on another partition than their card's: the rules decide on the event alone.

        The card's history is elsewhere, so features of such a record mean nothing.
        """
        if self._partitions == 0:
            return
        home = home_partitions(events.rows, self._partitions)
        partitions = events.partitions
        rows = np.flatnonzero(home != partitions)
        if len(rows) == 0:
            return
        found = np.unique(partitions[rows]).tolist()
        logger.error("partitions %s: %d records belong on another one", found, len(rows))
        answers.tally["misplaced"] += len(rows)
        own = events.take(rows)
        ruled = self._by_rules(own, None)
        for row, value in zip(
            rows, encode_decisions(self._topics.transactions, own, ruled), strict=True
        ):
            encoded[row] = value
        decided.decision[rows] = ruled.decision

    def _score_in_shadow(
        self,
        read: Read,
        decided: DecisionColumns,
        challenger: Model | None,
        answers: Answers,
    ) -> None:
        events = read.events
        if challenger is None or decided.values is None or not is_rival(challenger, decided):
            return
        if not self._shadow.allows():
            answers.tally["shadow_skipped"] += len(events)
            return
        began = self._shadow.clock()
        scores = shadow_scores(
            self._topics.transactions, events, decided.values, challenger, decided.model_version
        )
        answers.add(self._topics.shadow, read.keys, scores, read.sent)
        answers.tally["shadow_scored"] += len(scores)
        self._shadow.spend(self._shadow.clock() - began)

    def _by_model(self, events: EventRows, matrix: FeatureMatrix, model: Model) -> DecisionColumns:
        score, shares = model.explained(matrix.values)
        amounts = events.rows.numbers[:, AMOUNT_MINOR]
        decided = model.decide(score, amounts, Names(events.rows))
        columns = DecisionColumns(
            score=score,
            decision=decided.decision,
            reasons=self._reasons(matrix, shares, decided, model),
            expected_loss_minor=decided.expected_loss_minor,
            control=decided.control,
            propensity=decided.propensity,
            is_late=matrix.is_late,
            is_duplicate=matrix.is_duplicate,
            values=matrix.values,
            model_version=model.version,
            policy_version=model.policy_version,
            feature_set=self._feature_set.hash,
            tier=Tier.MODEL.value,
        )
        return self._raised(events, columns) if self._extra_rules else columns

    def _raised(self, events: EventRows, columns: DecisionColumns) -> DecisionColumns:
        """Rules that stand beside the model raise its decisions, and are then the reasons.

        What a rule stops was not let through by the control group, whatever that had drawn.
        """
        ruled = self._extra_rules.decide(RuleColumns(events.rows), len(events))
        is_raised = ruled.decision > columns.decision
        raised = {
            row: [reason.as_json() for reason in ruled.reasons[row]]
            for row in np.flatnonzero(is_raised).tolist()
        }
        return replace(
            columns,
            decision=np.where(is_raised, ruled.decision, columns.decision),
            reasons=columns.reasons.replaced(raised),
            control=columns.control & ~is_raised,
            propensity=np.where(is_raised & (ruled.decision == DECLINE), 0.0, columns.propensity),
        )

    def _reasons(
        self, matrix: FeatureMatrix, shares: Floats, decided: Decided, model: Model
    ) -> Reasons:
        """Path contributions for all; exact ones for what a person will look at."""
        values, reason_map = matrix.values, self._reason_map
        cheap = top_reasons(values, shares, reason_map, "path")
        seen_by_people = np.flatnonzero((decided.decision != APPROVE) | decided.control)
        exact = model.exact_contributions
        return exact_where(seen_by_people, values, cheap, exact, reason_map)

    def _by_rules(self, events: EventRows, matrix: FeatureMatrix | None) -> DecisionColumns:
        ruled = self._rules.decide(RuleColumns(events.rows), len(events))
        size = len(events)
        unknown = np.zeros(size, dtype=np.bool_)
        reasons = [[reason.as_json() for reason in row] for row in ruled.reasons]
        return DecisionColumns(
            score=None,
            decision=ruled.decision,
            reasons=ruled_reasons(reasons, self._reason_map),
            expected_loss_minor=np.zeros(size, dtype=np.int64),
            control=np.zeros(size, dtype=np.bool_),
            propensity=np.ones(size),
            is_late=unknown if matrix is None else matrix.is_late,
            is_duplicate=unknown if matrix is None else matrix.is_duplicate,
            values=None if matrix is None else matrix.values,
            model_version=self._rules.version,
            policy_version=self._rules.version,
            feature_set=self._feature_set.hash,
            tier=Tier.FALLBACK.value,
        )

    def _alert(
        self, read: Read, decided: DecisionColumns, encoded: Sequence[bytes], answers: Answers
    ) -> None:
        if self._topics.alerts is None:
            return
        rows = np.flatnonzero(decided.decision != APPROVE).tolist()
        keys, sent = ([column[row] for row in rows] for column in (read.keys, read.sent))
        answers.add(self._topics.alerts, keys, [encoded[row] for row in rows], sent)

    def _reject(self, read: Read, answers: Answers) -> None:
        batch, bad = read.batch, read.bad
        rejected = encode_rejects(self._topics.transactions, batch, bad)
        rows = [rejection.index for rejection in bad]
        keys = [batch.keys[row] for row in rows]
        answers.add(self._topics.rejects, keys, rejected, [batch.sent[row] for row in rows])
        answers.tally["rejected"] += len(rejected)


def _fallen_back(partition: int, error: Exception, answers: Answers) -> None:
    """Say that the rules decide; the next batch's `ensure` brings the state up to date."""
    logger.warning("partition %d falls back: %s", partition, error)
    answers.tally["tiles_late" if isinstance(error, TilesError) else "store_failures"] += 1


def _count(decided: DecisionColumns, answers: Answers) -> None:
    counts = np.bincount(decided.decision, minlength=len(KINDS)).tolist()
    for kind, count in zip(KINDS, counts, strict=True):
        if count:
            answers.tally[kind] += count
    answers.tally[f"tier:{decided.tier}"] += len(decided.decision)
    answers.tally[f"version:{decided.model_version}"] += len(decided.decision)
    for kind, flags in (("late", decided.is_late), ("duplicate", decided.is_duplicate)):
        if flags.any():
            answers.tally[kind] += int(np.count_nonzero(flags))
