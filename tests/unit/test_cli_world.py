"""The hardness report's features know labels, each from the day after it arrived."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cli.world import measured
from contracts.settings import load_settings
from models.build import platform_features
from producer.hardness_sample import Sample, handbook_sample, tutorial_sample, world_sample
from producer.spec import WorldSpec
from producer.table_spec import load_mapping
from producer.world import World

CHECKOUT = Path(__file__).resolve().parents[2]
MAPPING = load_mapping(CHECKOUT / "config" / "mappings" / "handbook.yaml")
SPEC = WorldSpec(seed=5, start_day=20_000, cards=300, merchants=300, fraud_rate=0.02)


@pytest.fixture(scope="module")
def small() -> Sample:
    """A month and a half of a small world."""
    kafka = load_settings(CHECKOUT, environ={}).kafka
    return world_sample("small", World(SPEC), 45, kafka)


def known_frauds(sample: Sample) -> list[float]:
    """What each transaction knows of its merchant's frauds."""
    plan = platform_features()
    values = plan.replay(sample.events, sample.labels).values
    known: list[float] = values[:, plan.names.index("merchant_frauds_30d")].tolist()
    return known


def test_the_report_replays_with_labels(small: Sample) -> None:
    """Merchants' known frauds rank better than guessing; an empty column only guesses."""
    guessing = float(small.truth[~small.train].mean())
    assert measured(small).feature_ap["merchant_frauds_30d"] > 1.2 * guessing


def test_a_worlds_labels_count_from_the_day_after_they_came(small: Sample) -> None:
    """Counted by hand at every merchant: fraud labels of earlier days less those taken back."""
    day_us, hour_us = 86_400_000_000, 3_600_000_000
    arrived = list(
        zip(
            small.labels["label_time"].to_numpy() // day_us,
            small.labels["merchant_id"].to_pylist(),
            np.where(small.labels["is_fraud"].to_numpy(zero_copy_only=False), 1, -1),
            strict=True,
        )
    )
    rows = small.events.select(["event_time", "merchant_id"]).to_pylist()
    known = known_frauds(small)
    for number in range(0, len(rows), 97):
        today = (rows[number]["event_time"] - hour_us) // day_us
        told = [
            sign
            for day, shop, sign in arrived
            if shop == rows[number]["merchant_id"] and today - 30 <= day < today
        ]
        assert known[number] == max(sum(told), 0)


def test_the_handbooks_labels_come_a_week_late(tmp_path: Path) -> None:
    """Its mapping says 7 days: the terminal's next payments know nothing before the day after."""
    start = np.datetime64("2018-04-01T12:00:00", "us")
    table = pa.table(
        {
            "TRANSACTION_ID": pa.array(range(10), pa.int64()),
            "TX_DATETIME": pa.array(start + np.arange(10) * np.timedelta64(1, "D")),
            "CUSTOMER_ID": pa.array(range(10), pa.int64()),
            "TERMINAL_ID": pa.array([7] * 10, pa.int64()),
            "TX_AMOUNT": [10.0] * 10,
            "TX_FRAUD": [1] + [0] * 9,
            "TX_FRAUD_SCENARIO": [2] + [0] * 9,
        }
    )
    pq.write_table(table, tmp_path / "handbook.parquet")
    sample = handbook_sample(tmp_path / "handbook.parquet", MAPPING, days=30)
    assert known_frauds(sample) == [0.0] * 8 + [1.0] * 2
    assert sample.delay_hours.tolist() == [7 * 24.0]
    assert (sample.label.sum(), sample.known.sum()) == (1, 0)


def test_a_tutorials_labels_come_with_the_event() -> None:
    """The label is inside the event: known at once, and to features once its day has ended."""
    sample = tutorial_sample(5_000, seed=1)
    assert not sample.delay_hours.any()
    assert sample.label.tolist() == sample.truth.tolist()
    assert sample.known.tolist() == (sample.truth & sample.train).tolist()
    assert sum(known_frauds(sample)) > 0
