"""The hardness report sees what gives fraud away, and what does not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contracts.columns import EVENT_SCHEMA
from contracts.settings import load_settings
from producer.hardness import Hardness, measure, raw_field_ap
from producer.hardness_page import page
from producer.hardness_sample import Sample, handbook_sample, tutorial_sample, world_sample
from producer.spec import WorldSpec
from producer.table_spec import load_mapping
from producer.world import World

CHECKOUT = Path(__file__).resolve().parents[2]
KAFKA = load_settings(CHECKOUT, environ={}).kafka
SPEC = WorldSpec(seed=5, start_day=20_000, cards=300, merchants=300, fraud_rate=0.02)


@pytest.fixture(scope="module")
def sample() -> Sample:
    """A month and a half of a small world."""
    return world_sample("small", World(SPEC), 45, KAFKA)


@pytest.fixture(scope="module")
def measured(sample: Sample) -> Hardness:
    """The small world with the truth itself as its only engineered feature."""
    return measure(sample, ("oracle",), sample.truth.astype(np.float64)[:, None])


def test_a_planted_giveaway_is_found(sample: Sample) -> None:
    """A field that tells fraud apart gets an AP near one; before, every field is far from it."""
    fields = sample.events.schema.get_field_index("currency")
    told = np.where(sample.truth, "XXX", "EUR")
    leaky = replace(sample, events=sample.events.set_column(fields, "currency", pa.array(told)))
    assert raw_field_ap(sample)["currency"] < 0.2
    assert raw_field_ap(leaky)["currency"] > 0.99


def test_the_reference_model_uses_what_it_is_given(measured: Hardness) -> None:
    """With an oracle among the features AP is one; without history it stays low."""
    assert measured.feature_ap["oracle"] == pytest.approx(1.0)
    assert measured.reference_ap_with_history > 0.99
    assert measured.reference_ap_no_history < 0.4


def test_the_report_counts_campaigns_and_labels(measured: Hardness, sample: Sample) -> None:
    """Shares add up, every campaign of the test part has a recall, labels are late and leaky."""
    assert sum(measured.campaign_share.values()) == pytest.approx(1.0)
    tested = set(np.unique(sample.campaign[~sample.train & sample.truth]))
    assert set(measured.campaign_recall) == tested
    assert 0 < measured.labels["unreported_share"] < 0.4
    assert measured.labels["median_delay_hours"] > 12
    assert sample.known.sum() < sample.label.sum()


def test_learning_from_labels_leaves_out_what_is_too_young(sample: Sample) -> None:
    """Nearly every label about the rows learned from had come by the cut; about the others not."""
    young = sample.train & ~sample.mature
    shares = [sample.known[rows & sample.label].mean() for rows in (sample.mature, young)]
    assert shares[0] > 0.95
    assert shares[1] < 0.8
    assert not (sample.mature & ~sample.train).any()


def test_the_curves_say_what_the_figures_say(measured: Hardness) -> None:
    """With an oracle precision stays at one to the end; delays rise from nothing to all."""
    assert all(precision > 0.99 for _, precision in measured.precision_recall["with history"])
    assert measured.precision_recall["the event alone"][-1][0] == 1.0
    days, shares = zip(*measured.delay_days, strict=True)
    assert list(days) == sorted(days)
    assert (shares[0], shares[-1]) == (0.0, 1.0)


def test_a_tutorials_fraud_cannot_be_learned() -> None:
    """Fraud by the toss of a coin stays at the fraud rate, whatever model looks at it."""
    sample = tutorial_sample(20_000, seed=1)
    found = measure(sample, ("amount",), sample.events["amount_minor"].to_numpy()[:, None] * 1.0)
    assert found.max_raw_field_ap < 0.03
    assert found.reference_ap_with_history < 0.03


def test_the_handbooks_file_is_read_as_transactions(tmp_path: Path) -> None:
    """Amounts become minor units, times microseconds; only the last days are taken."""
    start = np.datetime64("2018-04-01T00:00:00", "ns")
    table = pa.table(
        {
            "TRANSACTION_ID": pa.array([0, 1, 2], pa.int32()),
            "TX_DATETIME": pa.array(start + np.array([0, 5, 6]) * np.timedelta64(1, "D")),
            "CUSTOMER_ID": pa.array([1, 1, 2], pa.int32()),
            "TERMINAL_ID": pa.array([7, 8, 9], pa.int32()),
            "TX_AMOUNT": [10.25, 57.1, 3.0],
            "TX_FRAUD": pa.array([0, 1, 0], pa.int32()),
            "TX_FRAUD_SCENARIO": pa.array([0, 2, 0], pa.int32()),
        }
    )
    pq.write_table(table, tmp_path / "handbook.parquet")
    mapping = load_mapping(CHECKOUT / "config" / "mappings" / "handbook.yaml")
    sample = handbook_sample(tmp_path / "handbook.parquet", mapping, days=2)
    assert sample.events.schema == EVENT_SCHEMA
    assert sample.events["amount_minor"].to_pylist() == [5710, 300]
    assert sample.events["event_time"][0].as_py() == 1_522_972_800_000_000
    assert sample.truth.tolist() == [True, False]


def test_the_page_stands_alone(measured: Hardness) -> None:
    """One HTML file with its plots inside, naming each world that was measured."""
    text = page([measured, replace(measured, name="<other>")])
    assert text.count("<svg") == 4
    assert "Small in detail" in text
    assert all(name.replace("_", " ") in text for name in measured.campaign_share)
    assert "&lt;other&gt;" in text
    assert all(f">{name.replace('_', ' ')}<" in text for name in measured.feature_ap)
    assert "http" not in text
