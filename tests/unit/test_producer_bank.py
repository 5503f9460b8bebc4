"""What follows a decision: outcomes, investigations within capacity, disputes that never come."""

from collections.abc import Iterable

import orjson
import pytest

from contracts.messages import DecisionKind, Label, Outcome
from contracts.settings import KafkaSettings, PolicySettings
from producer.aftermath import Aftermath
from producer.bank import Bank
from producer.records import Record, Writer
from producer.spec import DAY_US, WorldSpec
from producer.verdicts import Verdict
from producer.world import World

SPEC = WorldSpec(seed=7, start_day=20_000, cards=400, merchants=300, fraud_rate=0.02)
KAFKA = KafkaSettings(
    broker="nowhere:1",
    topic="transactions",
    group_id="test",
    security_protocol="PLAINTEXT",
    sasl_mechanism="PLAIN",
    replication_factor=1,
    outcomes_topic="outcomes",
    labels_topic="labels",
    scores_topic="scores",
    rejects_topic="rejects",
    alerts_topic="alerts",
    shadow_topic="shadow",
    truth_topic="truth",
    frontiers_topic="frontiers",
    partitions=2,
    retention_ms=-1,
    copy_alerts=False,
)


@pytest.fixture(scope="module")
def world() -> World:
    """A small world with plenty of fraud."""
    return World(SPEC)


def policy(capacity: int = 1000, catch_rate: float = 1.0) -> PolicySettings:
    """A policy of which the world sees the review desk only."""
    return PolicySettings(
        missed_fraud_fixed_minor=0,
        review_cost_minor=0,
        review_catch_rate=catch_rate,
        false_decline_fixed_minor=0,
        false_decline_rate=0,
        review_capacity_per_day=capacity,
        capacity_met_share=1,
        fraud_threshold=None,
        control_rate=0,
        control_amount_cap_minor=0,
    )


def verdicts(
    world: World, day: int, decision: DecisionKind, *, is_control: bool = False
) -> list[Verdict]:
    """The same decision on every transaction of a day."""
    made = enumerate(Writer(world, KAFKA).transactions(world.day(day)))
    return [
        Verdict(
            transaction_id=orjson.loads(record.value)["transaction_id"],
            card_id=record.key,
            event_us=record.timestamp_us,
            decision=decision,
            is_control=is_control,
            partition=offset % 2,
            offset=offset,
        )
        for offset, record in made
    ]


def outcomes(bank: Bank, heard: Iterable[Verdict]) -> list[str]:
    """The kinds of outcome that the bank answers with."""
    records = [bank.hear(verdict) for verdict in heard]
    return [Outcome.model_validate_json(record.value).outcome for record in records if record]


def test_a_declined_purchase_is_never_disputed(world: World) -> None:
    """Decline means declined, and silence from the cardholder; a control goes ahead."""
    bank = Bank(world, KAFKA, policy())
    declined = verdicts(world, 3, DecisionKind.DECLINE)
    control = verdicts(world, 4, DecisionKind.DECLINE, is_control=True)
    assert set(outcomes(bank, declined)) == {"declined"}
    assert set(outcomes(bank, control)) == {"authorised"}
    assert all(bank.is_silent(verdict.transaction_id) for verdict in declined)
    assert not any(bank.is_silent(verdict.transaction_id) for verdict in control)


def test_investigation_finds_the_truth_and_labels_both_ways(world: World) -> None:
    """A reviewed purchase gets an investigation label with the truth, hours after the purchase."""
    bank = Bank(world, KAFKA, policy())
    reviewed = verdicts(world, 5, DecisionKind.REVIEW)
    found = outcomes(bank, reviewed)
    labels = [Label.model_validate_json(r.value) for r in bank.findings(SPEC.start_us + 9 * DAY_US)]
    frauds = {world.transaction_id(5, row) for row in world.frauds(world.day(5)).tolist()}
    assert frauds
    assert {label.transaction_id for label in labels if label.is_fraud} == frauds
    assert len(labels) == len(reviewed)
    assert all(label.label_time > label.event_time for label in labels)
    assert found.count("step_up_failed") == len(frauds)


def test_a_finding_appears_when_the_world_reaches_it_and_once(world: World) -> None:
    """No finding comes before its label time, and none comes twice."""
    bank = Bank(world, KAFKA, policy())
    outcomes(bank, verdicts(world, 5, DecisionKind.REVIEW))
    noon = SPEC.start_us + 5 * DAY_US + DAY_US // 2
    early = bank.findings(noon)
    late = bank.findings(noon + DAY_US)
    assert early and late
    assert all(record.timestamp_us <= noon for record in early)
    assert not {record.key for record in early} & {record.key for record in late}


def test_beyond_its_daily_capacity_the_desk_lets_pass(world: World) -> None:
    """Capacity is per day and shared among partitions; what exceeds it is authorised unseen."""
    bank = Bank(world, KAFKA, policy(capacity=20))
    for day in (6, 7):
        found = outcomes(bank, verdicts(world, day, DecisionKind.REVIEW))
        assert len(found) - found.count("authorised") == 20
    assert len(bank.findings(SPEC.start_us + 20 * DAY_US)) == 40


def test_hearing_the_decisions_again_gives_the_same(world: World) -> None:
    """Outcomes and findings depend on decisions alone, not on how partitions are interleaved."""
    heard = verdicts(world, 8, DecisionKind.REVIEW)
    by_partition = sorted(heard, key=lambda verdict: verdict.partition)
    desks = [Bank(world, KAFKA, policy(capacity=40, catch_rate=0.5)) for _ in range(2)]
    for desk, order in zip(desks, (heard, by_partition), strict=True):
        for verdict in order:
            desk.hear(verdict)
    first, second = (desk.findings(SPEC.start_us + 20 * DAY_US) for desk in desks)
    assert first == second


def test_a_transaction_of_somebody_else_has_no_outcome_here(world: World) -> None:
    """Decisions on imported or foreign transactions are none of this world's business."""
    foreign = Verdict("import-1", "card", SPEC.start_us, DecisionKind.DECLINE, False, 0, 0)
    other_world = foreign._replace(transaction_id="00000000-00001-0000001")
    bank = Bank(world, KAFKA, policy())
    assert bank.hear(foreign) is None
    assert bank.hear(other_world) is None


def test_after_a_restart_outcomes_are_not_repeated_but_their_effect_stays(world: World) -> None:
    """Decisions that have had their outcome silence disputes again without a second outcome."""
    heard = verdicts(world, 9, DecisionKind.DECLINE)
    last = {
        partition: max(v.offset for v in heard if v.partition == partition) for partition in (0, 1)
    }

    class Again:
        def poll(self) -> list[Verdict]:
            return heard

    aftermath = Aftermath(Bank(world, KAFKA, policy()), Again(), "labels", last)
    assert aftermath.arrived(SPEC.start_us) == []
    dispute = Record("labels", heard[0].transaction_id, b"", 0, (9, 0), "chargeback")
    assert not aftermath.allows(dispute)
    assert aftermath.allows(dispute._replace(topic="truth"))
    fresh = Aftermath(Bank(world, KAFKA, policy()), Again(), "labels", {})
    assert len(fresh.arrived(SPEC.start_us)) == len(heard)
