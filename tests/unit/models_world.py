"""A small labelled history for learning tests: one strong feature, some cards, some days."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contracts.settings import PolicySettings, Settings, load_settings
from models.folds import DAY_US, Folds
from models.table import Rows, TableDescription, TrainingTable

CHECKOUT = Path(__file__).resolve().parents[2]
START_US = 1_767_225_600_000_000
NAMES = ("signal", "noise", "sparse", "code")


def settings_with(tmp_path: Path, **learning: object) -> Settings:
    """The checkout's defaults with a folder for objects and a local MLflow store."""
    settings = load_settings(CHECKOUT, environ={})
    store = settings.object_store.model_copy(update={"host": (tmp_path / "s3").as_uri()})
    tracking = f"sqlite:///{tmp_path}/mlflow.db"
    mlflow_settings = settings.mlflow.model_copy(update={"tracking_uri": tracking})
    changed = settings.learning.model_copy(update=learning)
    return settings.model_copy(
        update={"object_store": store, "mlflow": mlflow_settings, "learning": changed}
    )


def policy_settings() -> PolicySettings:
    """The checkout's costs."""
    return load_settings(CHECKOUT, environ={}).policy


@dataclass(frozen=True, slots=True)
class Shape:
    """How many rows over how many days, with which share of frauds."""

    rows: int = 6000
    days: int = 60
    fraud_share: float = 0.05


DEFAULT_SHAPE = Shape()


def make_rows(seed: int = 1, shape: Shape = DEFAULT_SHAPE) -> Rows:
    """Rows in time order whose `signal` column separates frauds well, not perfectly."""
    generator = np.random.default_rng(seed)
    count = shape.rows
    target = (generator.random(count) < shape.fraud_share).astype(np.int8)
    values = generator.normal(size=(count, len(NAMES)))
    values[:, 0] += 2.5 * target
    values[generator.random(count) < 0.1, 2] = np.nan
    values[:, 3] = generator.integers(0, 5, count) * 100
    time = np.sort(generator.integers(0, shape.days * DAY_US, count)) + START_US
    return Rows(
        values=values,
        target=target,
        weight=np.ones(count),
        event_time=time.astype(np.int64),
        amount_minor=generator.integers(100, 50_000, count),
        card=generator.integers(0, 200, count),
        transaction_id=np.array([f"t{i}" for i in range(count)], dtype=object),
        category=np.full(count, "5411", dtype=object),
        country=np.full(count, "DE", dtype=object),
        is_evaluated=np.ones(count, dtype=bool),
        is_compromised=np.zeros(count, dtype=bool),
    )


def make_folds(days: int = 60) -> Folds:
    """Train, two halves of validation and test over the days, with gaps of two days."""
    edges = [START_US + round(share * days) * DAY_US for share in (0.0, 0.5, 0.55, 0.65, 0.75)]
    test = [START_US + round(share * days) * DAY_US for share in (0.8, 1.0)]
    return Folds(*edges, *test, test[1] + 2 * DAY_US)


def make_table(seed: int = 1, shape: Shape = DEFAULT_SHAPE) -> TrainingTable:
    """A training table over `make_rows`."""
    rows, folds = make_rows(seed, shape), make_folds(shape.days)
    fold: NDArray[np.int8] = folds.assign(rows.event_time)
    description = TableDescription(
        key=f"tables/seed-{seed}",
        manifest_uri="file:///manifest.json",
        content_hash="c" * 64,
        ranges={"transactions": {"0": len(rows)}},
        feature_hash="testhash",
        feature_names=NAMES,
        categorical=("code",),
        folds=folds,
        counts={},
        notes={},
        table_hash="",
    )
    return TrainingTable(description, rows, fold)
