"""The thief on Kafka: its transactions among the others, its answers from the scores topic."""

import heapq
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from contracts.errors import DataError, SettingsError
from contracts.messages import DecisionKind, Label, Outcome, OutcomeKind, Truth
from contracts.settings import KafkaSettings, WorldSettings
from producer.bank import ANSWER_US
from producer.delays import INVESTIGATION, NEVER, SOURCES, UNREPORTED, draw_source, report_times
from producer.habits import PER_PLANNED
from producer.hacker import MOST_PER_CARD, Attempt, Hacker
from producer.position import find_world, read_position
from producer.publisher import Publisher, Stop, open_publisher
from producer.records import Record, Writer
from producer.spec import DAY_US, HOUR_US, Stream
from producer.verdicts import Verdict, VerdictFollower
from producer.world import World

CAMPAIGN = "hacker"
_TICK_SECONDS = 0.1
_SILENCE_IS_CONSENT_US = 6 * HOUR_US
"""An attempt without an answer for this long went through: payment systems fail open."""


class WorldClock(Protocol):
    """Tells the time of the world."""

    def world_us(self) -> int:
        """World time now, microseconds since the epoch."""


class Verdicts(Protocol):
    """Where decisions come from."""

    def poll(self) -> list[Verdict]:
        """What has been decided since the last call."""


@dataclass(slots=True)
class Raid:
    """One run of a hacker against the platform; its ids derive from seed, start and number."""

    world: World
    kafka: KafkaSettings
    hacker: Hacker
    publisher: Publisher
    verdicts: Verdicts
    _writer: Writer = field(init=False)
    _rng: np.random.Generator = field(init=False)
    _waiting: dict[str, Attempt] = field(default_factory=dict)
    _cards: dict[int, str] = field(default_factory=dict)
    _labels: list[tuple[int, int, Record]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._writer = Writer(self.world, self.kafka)
        self._rng = self.world.spec.rng(Stream.LABELS, self.hacker.from_us)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to be answered or labelled."""
        return not self._waiting and not self._labels

    def run(self, clock: WorldClock, stop: Stop) -> None:
        """Steal until the hacker's end, then wait for the last labels, or until stopped."""
        while not stop.is_set():
            now_us = clock.world_us()
            self.step(now_us)
            if now_us >= self.hacker.until_us and self.is_over:
                break
            stop.wait(_TICK_SECONDS)
        self.publisher.flush()

    def step(self, now_us: int) -> None:
        """Everything that happens up to a moment of world time."""
        for attempt in self.hacker.act(now_us):
            self.publisher.send_all(self._records(attempt))
        for verdict in self.verdicts.poll():
            self._answer(verdict)
        self._assume_consent(now_us)
        while self._labels and self._labels[0][0] <= now_us:
            _, account, record = heapq.heappop(self._labels)
            self.hacker.lose(account)
            self.publisher.send(record)
        self.publisher.serve()

    def _records(self, attempt: Attempt) -> list[Record]:
        """The transaction and its truth."""
        purchase = attempt.purchase
        event_us = int(purchase.event_us[0])
        day = (event_us - self.world.spec.start_us) // DAY_US
        self.world.plan.extend(day + 1)
        cards = self.world.card_ids(purchase.account, self.world.generations(purchase, day))
        name = self._id(attempt.number)
        self._waiting[name], self._cards[attempt.number] = attempt, cards[0]
        truth = Truth(transaction_id=name, card_id=cards[0], event_time=event_us, campaign=CAMPAIGN)
        value = truth.model_dump_json().encode()
        place = (day, attempt.number)
        known = Record(self.kafka.truth_topic, name, value, event_us, place)
        return [*self._writer.render(purchase, cards, [name], [place]), known]

    def _id(self, number: int) -> str:
        token = self.world.spec.opaque("raid", self.hacker.from_us, number)
        return f"{self.world.spec.fingerprint}-{token}"

    def _answer(self, verdict: Verdict) -> None:
        attempt = self._waiting.pop(verdict.transaction_id, None)
        if attempt is None:
            return
        if verdict.decision == DecisionKind.APPROVE or verdict.is_control:
            self._go_through(attempt)
            return
        self.hacker.hear(attempt.number, False)
        if verdict.decision == DecisionKind.REVIEW:
            self._tell_outcome(attempt, OutcomeKind.STEP_UP_FAILED)
            self._dispute(attempt, INVESTIGATION)
        else:
            self._tell_outcome(attempt, OutcomeKind.DECLINED)

    def _assume_consent(self, now_us: int) -> None:
        silent = [
            name
            for name, attempt in self._waiting.items()
            if now_us - int(attempt.purchase.event_us[0]) > _SILENCE_IS_CONSENT_US
        ]
        for name in silent:
            self._go_through(self._waiting.pop(name))

    def _go_through(self, attempt: Attempt) -> None:
        self.hacker.hear(attempt.number, True)
        self._tell_outcome(attempt, OutcomeKind.AUTHORISED)
        self._dispute(attempt, draw_source(self.world.spec, self._rng))

    def _tell_outcome(self, attempt: Attempt, kind: OutcomeKind) -> None:
        """On its topic, as the bank does for everybody else's transactions."""
        event_us = int(attempt.purchase.event_us[0])
        outcome = Outcome(
            transaction_id=self._id(attempt.number),
            card_id=self._cards[attempt.number],
            event_time=event_us,
            outcome=kind,
            outcome_time=event_us + ANSWER_US,
        )
        topic, value = self.kafka.outcomes_topic, outcome.model_dump_json().encode()
        record = Record(topic, outcome.card_id, value, outcome.outcome_time, (0, attempt.number))
        self.publisher.send(record)

    def _dispute(self, attempt: Attempt, source: int) -> None:
        """Plan the label of an attempt that went through, or was looked into."""
        purchase = attempt.purchase
        label_us = int(report_times(self.world.spec, purchase.event_us, source, self._rng)[0])
        if source == UNREPORTED or label_us == NEVER:
            return
        label = Label(
            transaction_id=self._id(attempt.number),
            card_id=self._cards[attempt.number],
            merchant_id=str(self.world.scene.merchants.ids[purchase.merchant[0]]),
            event_time=int(purchase.event_us[0]),
            is_fraud=True,
            label_time=label_us,
            source=SOURCES[source],
        )
        value = label.model_dump_json().encode()
        topic, name = self.kafka.labels_topic, label.transaction_id
        record = Record(topic, name, value, label_us, (0, attempt.number), label.source.value)
        heapq.heappush(self._labels, (label_us, int(purchase.account[0]), record))


def refuse_more_fraud_than_traffic(world: World, cards_per_day: float) -> None:
    """Refuse a thief who might try more often than everybody else buys.

    Raises:
        SettingsError: names the number of cards and the most that this world bears.
    """
    honest_per_day = world.scene.holders.per_day.sum() * PER_PLANNED
    most = float(honest_per_day / MOST_PER_CARD)
    if not 0 < cards_per_day <= most:
        raise SettingsError(
            f"a thief may buy more than 0 and at most {most:,.1f} cards a day, or there is more "
            "fraud than traffic in this world",
            value=cards_per_day,
            remedy="Give fewer --cards-per-day, or raise world.cards for a new world",
        )


def open_raid(
    kafka: KafkaSettings, world: WorldSettings, days: float, cards_per_day: float
) -> Raid:
    """A raid that begins where the world on the topic stands, for so many world days.

    Raises:
        DataError: there is nobody to steal from yet.
        SettingsError: the topic holds another world, or the thief would outnumber the customers.
    """
    spec = find_world(kafka, world)
    if spec is None:
        raise DataError(
            "the topic holds no world to steal from",
            value=kafka.topic,
            remedy="Publish its past first: `fraud produce backfill`",
        )
    from_us = read_position(kafka, spec).resume_us or spec.start_us
    ours = World(spec)
    refuse_more_fraud_than_traffic(ours, cards_per_day)
    thief = Hacker(ours.scene, cards_per_day, from_us, from_us + int(days * DAY_US))
    return Raid(ours, kafka, thief, open_publisher(kafka, promising=False), VerdictFollower(kafka))
