"""The synthetic world: same seed same bytes, honest rhythms, cards blocked and reissued."""

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import yaml

from contracts.columns import parse_transactions
from contracts.errors import SettingsError
from contracts.messages import Label, Truth
from contracts.settings import KafkaSettings, load_settings
from producer.day import LEGITIMATE, concatenate
from producer.delays import CHARGEBACK, CUSTOMER_REPORT, INVESTIGATION, delays_us
from producer.records import Writer
from producer.spec import DAY_US, HOUR_US, WorldSpec
from producer.world import World

CHECKOUT = Path(__file__).resolve().parents[2]
SPEC = WorldSpec(seed=7, start_day=20_000, cards=400, merchants=300, fraud_rate=0.01)


@pytest.fixture(scope="module")
def world() -> World:
    """A small world that the tests of this module share; it never changes."""
    return World(SPEC)


def topics() -> KafkaSettings:
    """Settings of which only the topic names matter here."""
    names = [name for name in KafkaSettings.model_fields if name.endswith("_topic")]
    return KafkaSettings(
        broker="nowhere:1",
        topic="transactions",
        group_id="test",
        security_protocol="PLAINTEXT",
        sasl_mechanism="PLAIN",
        replication_factor=1,
        partitions=4,
        retention_ms=-1,
        copy_alerts=False,
        **{name: name.removesuffix("_topic") for name in names},
    )


def test_same_seed_gives_same_bytes_whatever_was_asked_before(world: World) -> None:
    """A day's records are a function of spec and day, not of the days asked for earlier."""
    straight = Writer(world, topics()).day(30)
    fresh = World(SPEC)
    fresh.day(41)
    fresh.day(3)
    assert Writer(fresh, topics()).day(30) == straight


def test_another_seed_gives_another_world() -> None:
    """The seed reaches ids and purchases."""
    other = WorldSpec(**{**_fields(SPEC), "seed": 8})
    assert other.fingerprint != SPEC.fingerprint
    assert not np.array_equal(
        World(other).day(0).purchases.event_us, World(SPEC).day(0).purchases.event_us
    )


def test_every_number_of_the_spec_changes_the_fingerprint() -> None:
    """Two worlds that differ in any number never share transaction ids."""
    numbers = {name: value for name, value in _fields(SPEC).items() if name != "preset"}
    changed = {
        WorldSpec(**{**_fields(SPEC), name: value * 1.5 + 1}).fingerprint
        for name, value in numbers.items()
    }
    changed.add(WorldSpec(**{**_fields(SPEC), "preset": "atm"}).fingerprint)
    assert len(changed) == len(_fields(SPEC))
    assert SPEC.fingerprint not in changed


def test_records_are_valid_messages_in_time_order(world: World) -> None:
    """Every record parses as its message, and record timestamps never go back within a day."""
    writer = Writer(world, topics())
    records = [record for day in range(20, 30) for record in writer.day(day)]
    times = [record.timestamp_us for record in records]
    assert times == sorted(times)
    values = [record.value for record in records if record.topic == "transactions"]
    assert parse_transactions(values).bad == ()
    for message, topic in ((Label, "labels"), (Truth, "truth")):
        chosen = [record for record in records if record.topic == topic]
        assert chosen
        assert all(message.model_validate_json(record.value) for record in chosen)


def test_a_day_lies_between_two_midnights(world: World) -> None:
    """All purchases of world day n happen on day start_day + n, UTC."""
    for number in (0, 17, 40):
        times = world.day(number).purchases.event_us
        assert (times // DAY_US == SPEC.start_day + number).all()


def test_fraud_rate_is_what_the_spec_asks_for() -> None:
    """Over some months the share of frauds comes close to the one asked for."""
    world = World(WorldSpec(seed=3, start_day=20_000, cards=1000, merchants=600, fraud_rate=0.005))
    campaign = np.concatenate([world.day(day).purchases.campaign for day in range(90)])
    assert 0.004 < (campaign != LEGITIMATE).mean() < 0.006


def test_confirmed_fraud_blocks_and_reissues_the_card(world: World) -> None:
    """After a card's first fraud label nothing is bought until the account has a new card."""
    days = [world.day(number) for number in range(60)]
    everything = concatenate([day.purchases for day in days])
    generation = np.concatenate([day.generation for day in days])
    blocks = [block for block in world.plan.blocks if block.at_us < days[-1].purchases.event_us[-1]]
    assert len(blocks) > 15
    for block in blocks:
        own = everything.account == block.account
        waiting = own & (everything.event_us >= block.at_us)
        waiting &= everything.event_us < block.reissued_us
        assert not waiting.any()
        before = generation[own & (everything.event_us < block.at_us)]
        after = generation[own & (everything.event_us >= block.reissued_us)]
        assert not set(before) & set(after)


def test_people_keep_their_local_hours(world: World) -> None:
    """Few physical purchases happen in the dead of the local night."""
    purchases = concatenate([world.day(day).purchases for day in range(14)])
    shop = world.scene.merchants
    physical = ~shop.is_online[purchases.merchant] & (purchases.campaign == LEGITIMATE)
    records = [r for day in range(14) for r in Writer(world, topics()).transactions(world.day(day))]
    local = [_local_hour(record.value) for record in records]
    night = [1 <= hour < 5 for hour in local]
    assert np.mean(np.array(night)[physical]) < 0.04


def test_label_delays_follow_their_source() -> None:
    """Investigation 6 h, report 1 day, chargeback median 4 days with 95 % within 10."""
    rng = np.random.default_rng(1)
    hours = {
        source: delays_us(SPEC, source, 20_000, rng) / HOUR_US
        for source in (CHARGEBACK, INVESTIGATION, CUSTOMER_REPORT)
    }
    assert np.median(hours[INVESTIGATION]) == pytest.approx(6, rel=0.05)
    assert np.median(hours[CUSTOMER_REPORT]) == pytest.approx(24, rel=0.05)
    assert np.median(hours[CHARGEBACK]) == pytest.approx(96, rel=0.05)
    assert np.quantile(hours[CHARGEBACK], 0.95) == pytest.approx(240, rel=0.05)


def test_labels_are_late_sometimes_missing_sometimes_corrected(world: World) -> None:
    """A label never precedes its transaction; some frauds have none; some labels are taken back."""
    labels = [world.labels(number) for number in range(60)]
    assert all((part.label_us > part.event_us).all() for part in labels)
    frauds = {(day, row) for day in range(45) for row in world.frauds(world.day(day)).tolist()}
    pairs = [(part.day.tolist(), part.row.tolist()) for part in labels]
    labelled = {pair for days, rows in pairs for pair in zip(days, rows, strict=True)}
    unreported = len(frauds - labelled) / len(frauds)
    assert 0.02 < unreported < 0.35
    assert any((~part.is_fraud).any() for part in labels)


def test_a_label_appears_on_the_day_of_its_time(world: World) -> None:
    """Asking for day n's labels gives those with a label time on that day, each exactly once."""
    seen = []
    for number in range(50):
        labels = world.labels(number)
        assert (labels.label_us // DAY_US == SPEC.start_day + number).all()
        columns = (labels.day.tolist(), labels.row.tolist(), labels.source.tolist())
        seen += list(zip(*columns, strict=True))
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize(
    ("name", "value", "bound"),
    [
        ("fraud_rate", -0.01, "greater than or equal to 0"),
        ("fraud_rate", 0.6, "less than or equal to 0.05"),
        ("chargeback_days", -1.0, "greater than 0"),
        ("report_hours", 0.0, "greater than 0"),
        ("investigation_hours", 1e6, "less than or equal to 240"),
        ("unreported_share", 1.5, "less than or equal to 0.9"),
        ("cards", 0, "greater than or equal to 10"),
        ("backfill_days", -5, "greater than or equal to 1"),
        ("speed", -60.0, "greater than 0"),
    ],
)
def test_an_impossible_world_is_refused_with_value_and_bound(
    tmp_path: Path, name: str, value: float, bound: str
) -> None:
    """Rates beyond reason and negative delays never reach the generator."""
    (tmp_path / "config").mkdir()
    tree = yaml.safe_load((CHECKOUT / "config" / "config.yaml").read_text())
    tree["world"][name] = value
    (tmp_path / "config" / "config.yaml").write_text(yaml.safe_dump(tree))
    with pytest.raises(SettingsError) as refused:
        load_settings(tmp_path, environ={})
    assert f"world.{name}" in str(refused.value)
    assert bound in str(refused.value)
    assert f"got {value!r}" in str(refused.value)


def _fields(spec: WorldSpec) -> dict[str, Any]:
    return {name: getattr(spec, name) for name in WorldSpec.__dataclass_fields__}


def _local_hour(value: bytes) -> float:
    message = orjson.loads(value)
    local_us = message["event_time"] + message["utc_offset_minutes"] * 60_000_000
    return float(local_us % DAY_US / HOUR_US)
