"""The adaptive thief: it learns from approve and decline alone, and its loot is disputed later."""

from pathlib import Path

import numpy as np
import orjson
import pytest

from contracts.errors import SettingsError
from contracts.messages import DecisionKind, Label, Outcome, OutcomeKind, Truth
from contracts.settings import load_settings
from producer.hacker import Attempt, Hacker
from producer.hacker_report import report_on
from producer.hacker_tactics import Learner, Tactic
from producer.publisher import Publisher
from producer.raid import Raid, refuse_more_fraud_than_traffic
from producer.spec import DAY_US, HOUR_US, WorldSpec
from producer.verdicts import Verdict
from producer.world import World

KAFKA = load_settings(Path(__file__).resolve().parents[2], environ={}).kafka
SPEC = WorldSpec(seed=5, start_day=20_000, cards=300, merchants=300, fraud_rate=0.005)
BEGIN_US = SPEC.start_us + 10 * DAY_US


@pytest.fixture(scope="module")
def world() -> World:
    """A small world to rob."""
    return World(SPEC)


class Wire:
    """A broker that keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []

    def produce(self, topic: str, *, value: bytes, **rest: object) -> None:
        """Keep a record."""
        self.sent.append((topic, value))

    def poll(self, timeout: float) -> int:
        """Nothing to report."""
        return 0

    def purge(self) -> None:
        """Nothing to drop."""

    def __len__(self) -> int:
        return 0

    def on(self, topic: str) -> list[bytes]:
        """The values sent to a topic."""
        return [value for name, value in self.sent if name == topic]


class Judge:
    """Decides each transaction on the wire once, by a rule."""

    def __init__(self, wire: Wire, decision: DecisionKind) -> None:
        self._wire = wire
        self._decision = decision
        self._seen = 0

    def poll(self) -> list[Verdict]:
        """Decisions on what has been sent since the last call."""
        values = self._wire.on(KAFKA.topic)[self._seen :]
        self._seen += len(values)
        made = [orjson.loads(value) for value in values]
        ids = [(m["transaction_id"], m["card_id"], m["event_time"]) for m in made]
        return [Verdict(*known, self._decision, False, 0, 0) for known in ids]


def hacker(world: World, days: float = 7.0, cards_per_day: float = 40.0) -> Hacker:
    """A thief that begins on day 10."""
    return Hacker(world.scene, cards_per_day, BEGIN_US, BEGIN_US + int(days * DAY_US))


def against(thief: Hacker, limit_minor: int) -> None:
    """Let the thief meet a defence that declines every amount above a limit."""
    for hour in range(1, 7 * 24 + 1):
        for attempt in thief.act(BEGIN_US + hour * HOUR_US):
            thief.hear(attempt.number, int(attempt.purchase.amount_minor[0]) <= limit_minor)


def test_the_learner_prefers_what_is_approved() -> None:
    """After enough answers the approved option is chosen nearly always."""
    learner, rng = Learner(), np.random.default_rng(1)
    for _ in range(60):
        learner.learn(Tactic("usual", "resale", "one", "burst"), is_approved=False)
        learner.learn(Tactic("usual", "digital", "fresh", "daily"), is_approved=True)
    chosen = [learner.choose(rng) for _ in range(50)]
    assert np.mean([tactic.shop == "resale" for tactic in chosen]) < 0.1
    assert learner.approval("shop", "digital") > 0.9 > 0.1 > learner.approval("shop", "resale")


def test_the_thief_goes_under_a_limit_on_amounts(world: World) -> None:
    """Against a limit it is declined ever less, by asking for ever smaller sums."""
    thief = hacker(world)
    against(thief, limit_minor=3_000)
    report = report_on(thief)
    assert report.days[-1].caught_share < 0.8 * report.days[0].caught_share
    used = {found.option: found for found in report.learned if found.dimension == "amount"}
    assert used["double"].share_at_last < 0.5 * used["double"].share_at_first
    assert sum(day.gained_minor for day in report.days) > 0
    first, last = report.days[0].caught_share, report.days[-1].caught_share
    assert f"declined {first:.0%} on the first day and {last:.0%} on the last" in report.lines()[-1]


def test_the_same_answers_give_the_same_raid(world: World) -> None:
    """Seed and answers decide everything that the thief does."""
    first, second = hacker(world), hacker(world)
    against(first, 3_000)
    against(second, 3_000)
    assert report_on(first) == report_on(second)


def test_a_card_is_given_up_after_declines_or_a_block(world: World) -> None:
    """Declined cards are soon thrown away; a card whose holder has noticed is never used again."""
    used = {}
    for is_approved in (True, False):
        thief = hacker(world, cards_per_day=60.0)
        thief.act(BEGIN_US + HOUR_US)
        for hour in range(2, 72):
            for attempt in thief.act(BEGIN_US + hour * HOUR_US):
                thief.hear(attempt.number, is_approved)
        used[is_approved] = len(thief.answers)
    assert used[False] < 0.6 * used[True]
    thief.cards_per_day = 0.0
    for account in range(len(world.scene.holders)):
        thief.lose(account)
    assert thief.act(BEGIN_US + 5 * DAY_US) == []


def test_loot_is_labelled_late_and_declines_are_not(world: World) -> None:
    """Approved: disputed after its delay. Declined: no label. Each has its outcome and truth."""
    for decision, labelled, kind in (
        (DecisionKind.APPROVE, True, OutcomeKind.AUTHORISED),
        (DecisionKind.DECLINE, False, OutcomeKind.DECLINED),
    ):
        wire = Wire()
        publisher = Publisher(wire, clock=lambda: 0.0)
        raid = Raid(world, KAFKA, hacker(world, days=2), publisher, Judge(wire, decision))
        for hour in range(1, 50 * 24, 3):
            raid.step(BEGIN_US + hour * HOUR_US)
        labels = [Label.model_validate_json(value) for value in wire.on(KAFKA.labels_topic)]
        truths = [Truth.model_validate_json(value) for value in wire.on(KAFKA.truth_topic)]
        assert len(truths) == len(wire.on(KAFKA.topic)) > 30
        assert {truth.campaign for truth in truths} == {"hacker"}
        values = wire.on(KAFKA.outcomes_topic)
        outcomes = [Outcome.model_validate_json(value) for value in values]
        assert sorted(o.transaction_id for o in outcomes) == sorted(
            truth.transaction_id for truth in truths
        )
        assert {outcome.outcome for outcome in outcomes} == {kind}
        assert bool(labels) == labelled
        assert all(label.label_time > label.event_time for label in labels)
        assert raid.is_over


@pytest.mark.parametrize("cards_per_day", [-1.0, 0.0, 1e4, float("nan")])
def test_more_fraud_than_traffic_is_refused_with_the_bound(
    world: World, cards_per_day: float
) -> None:
    """A thief may not outnumber the customers; the message names the value and the most."""
    refuse_more_fraud_than_traffic(world, 20.0)
    with pytest.raises(SettingsError, match=r"at most \d+\.\d cards.*got"):
        refuse_more_fraud_than_traffic(world, cards_per_day)


def test_silence_counts_as_approval(world: World) -> None:
    """Without a scorer payments go through, so the thief's loot is disputed all the same."""

    class Nobody:
        def poll(self) -> list[Verdict]:
            return []

    wire = Wire()
    raid = Raid(world, KAFKA, hacker(world, days=1), Publisher(wire, clock=lambda: 0.0), Nobody())
    for hour in range(1, 45 * 24, 3):
        raid.step(BEGIN_US + hour * HOUR_US)
    assert raid.is_over
    assert all(answer.is_approved for answer in raid.hacker.answers)
    assert wire.on(KAFKA.labels_topic)


def test_no_tactic_asks_for_physical_presence(world: World) -> None:
    """The thief only has data, so every attempt is online."""
    attempts: list[Attempt] = hacker(world).act(BEGIN_US + DAY_US)
    assert attempts
    assert all(int(attempt.purchase.channel[0]) == 2 for attempt in attempts)
