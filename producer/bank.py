"""What follows a decision: outcomes, investigations, and chargebacks that never come.

Everything is a function of the world, its seed and the decisions, so hearing the decisions again
after a restart gives the same outcomes and labels.
"""

import heapq
from collections import Counter
from dataclasses import dataclass

import numpy as np

from contracts.messages import DecisionKind, Label, LabelSource, Outcome, OutcomeKind
from contracts.settings import KafkaSettings, PolicySettings
from producer.delays import INVESTIGATION, delays_us
from producer.records import Record
from producer.spec import DAY_US, SECOND_US, Stream
from producer.verdicts import DECISION_HEADER, Verdict
from producer.world import World

ANSWER_US = 2 * SECOND_US
"""The cardholder knows this soon after the purchase whether it went through."""


@dataclass(frozen=True, slots=True)
class Handling:
    """What became of one decision; `is_fraud_found` is None when nobody looked into it."""

    outcome: OutcomeKind
    is_silent: bool
    is_fraud_found: bool | None = None


class Bank:
    """Investigates what is sent to review, within capacity, and remembers what was stopped.

    The capacity is divided among partitions, each in the order of its decisions: so the same
    transactions are investigated however the partitions are interleaved.
    """

    def __init__(self, world: World, kafka: KafkaSettings, policy: PolicySettings) -> None:
        self._world = world
        self._kafka = kafka
        self._per_partition = max(1, policy.review_capacity_per_day // kafka.partitions)
        self._catch_rate = policy.review_catch_rate
        self._reviewed: Counter[tuple[int, int]] = Counter()
        self._silent: set[str] = set()
        self._findings: list[tuple[int, str, Record]] = []

    def hear(self, verdict: Verdict) -> Record | None:
        """Take note of a decision; its outcome, None for a transaction of another world."""
        place = self._world.locate(verdict.transaction_id)
        if place is None:
            return None
        handling = self._handle(verdict, place)
        if handling.is_silent:
            self._silent.add(verdict.transaction_id)
        if handling.is_fraud_found is not None:
            self._note(verdict, place, handling.is_fraud_found)
        return self._outcome(verdict, handling.outcome)

    def is_silent(self, transaction_id: str) -> bool:
        """Whether no cardholder will ever dispute this purchase: it was stopped."""
        return transaction_id in self._silent

    def findings(self, world_us: int) -> list[Record]:
        """Investigation labels that have fallen due by the world's time; each is given once."""
        due = []
        while self._findings and self._findings[0][0] <= world_us:
            due.append(heapq.heappop(self._findings)[2])
        return due

    def _handle(self, verdict: Verdict, place: tuple[int, int]) -> Handling:
        goes_ahead = verdict.decision == DecisionKind.APPROVE or verdict.is_control
        if goes_ahead:
            return Handling(OutcomeKind.AUTHORISED, is_silent=False)
        if verdict.decision == DecisionKind.DECLINE:
            return Handling(OutcomeKind.DECLINED, is_silent=True)
        slot = (verdict.partition, verdict.event_us // DAY_US)
        self._reviewed[slot] += 1
        if self._reviewed[slot] > self._per_partition:
            return Handling(OutcomeKind.AUTHORISED, is_silent=False)
        luck = self._luck(place).random()
        found = self._world.is_fraud(*place) and bool(luck < self._catch_rate)
        outcome = OutcomeKind.STEP_UP_FAILED if found else OutcomeKind.STEP_UP_PASSED
        return Handling(outcome, is_silent=found, is_fraud_found=found)

    def _note(self, verdict: Verdict, place: tuple[int, int], is_fraud: bool) -> None:
        rng = self._luck(place)
        rng.random()
        label_us = verdict.event_us + int(delays_us(self._world.spec, INVESTIGATION, 1, rng)[0])
        label = Label(
            transaction_id=verdict.transaction_id,
            card_id=verdict.card_id,
            merchant_id=self._world.merchant_id(*place),
            event_time=verdict.event_us,
            is_fraud=is_fraud,
            label_time=label_us,
            source=LabelSource.INVESTIGATION,
        )
        record = Record(
            self._kafka.labels_topic,
            verdict.transaction_id,
            label.model_dump_json().encode(),
            label_us,
            place,
            LabelSource.INVESTIGATION.value,
        )
        heapq.heappush(self._findings, (label_us, verdict.transaction_id, record))

    def _outcome(self, verdict: Verdict, kind: OutcomeKind) -> Record:
        outcome = Outcome(
            transaction_id=verdict.transaction_id,
            card_id=verdict.card_id,
            event_time=verdict.event_us,
            outcome=kind,
            outcome_time=verdict.event_us + ANSWER_US,
        )
        return Record(
            self._kafka.outcomes_topic,
            verdict.card_id,
            outcome.model_dump_json().encode(),
            outcome.outcome_time,
            (verdict.partition, verdict.offset),
            headers=((DECISION_HEADER, str(verdict.offset)),),
        )

    def _luck(self, place: tuple[int, int]) -> np.random.Generator:
        return self._world.spec.rng(Stream.OUTCOMES, *place)
