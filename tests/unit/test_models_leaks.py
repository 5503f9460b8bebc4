"""No leakage: what comes later changes nothing that an earlier fold holds; planted leaks show."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from models_history import make_log
from models_world import settings_with
from numpy.typing import NDArray

from contracts.columns import EVENT_SCHEMA
from contracts.settings import LearningSettings
from models.build import FeaturePlan, Records, assemble, platform_features
from models.folds import DAY_US, Fold
from models.objects import open_objects
from models.offline import offline_records
from models.snapshot import read_snapshot, take_snapshot
from models.table import Rows, TableSource

SOURCE = TableSource("t", "m", "h", {})


@pytest.fixture(scope="module")
def learning(tmp_path_factory: pytest.TempPathFactory) -> LearningSettings:
    """Short folds."""
    days = {"maturity_days": 3, "test_days": 10, "validation_days": 10, "train_days": 30}
    return settings_with(tmp_path_factory.mktemp("s"), **days).learning


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Records:
    """A small history."""
    settings = settings_with(Path(tmp_path_factory.mktemp("r")))
    kafka, objects = settings.kafka, open_objects(settings.object_store)
    manifest = take_snapshot(settings, reference="r", log=make_log(kafka))
    topics = (kafka.topic, kafka.labels_topic, kafka.scores_topic, kafka.outcomes_topic)
    return Records(
        *(read_snapshot(objects, manifest, topic) for topic in topics), topic=kafka.topic
    )


def fold_of(records: Records, learning: LearningSettings, fold: Fold, plan: FeaturePlan) -> Rows:
    """One fold's rows."""
    return assemble(records, learning, plan, SOURCE).of(fold)


def is_unchanged(one: Rows, two: Rows) -> bool:
    """Same rows, same features, same targets."""
    same = np.array_equal(one.values, two.values, equal_nan=True)
    return same and np.array_equal(one.target, two.target)


def with_later_labels(records: Records, cut_us: int) -> Records:
    """The same history, with a fraud label about every eighth transaction just after a cut."""
    eighth = records.events.filter(pc.equal(pc.bit_wise_and(records.events["offset"], 7), 0))
    count = len(eighth)
    columns = {name: eighth[name] for name in eighth.column_names} | {
        "is_fraud": pa.array([True] * count),
        "label_time": pa.array([cut_us + 1] * count),
        "source": pa.array(["chargeback"] * count),
        "offset": pa.array(np.arange(count) + len(records.labels)),
    }
    late = pa.table({name: columns[name] for name in records.labels.column_names})
    labels = pa.concat_tables([records.labels, late.cast(records.labels.schema)])
    return Records(records.events, labels, records.decisions, records.outcomes, records.topic)


def leaking_plan(records: Records) -> FeaturePlan:
    """The platform's features, with the label itself planted into the first column."""
    plan = platform_features()

    def replay(events: pa.Table, labels: pa.Table) -> object:
        matrix = plan.replay(events, labels)
        frauds = labels.filter(labels["is_fraud"])["transaction_id"]
        known = pc.is_in(events["transaction_id"], value_set=frauds.combine_chunks())
        matrix.values[:, 0] = known.to_numpy(zero_copy_only=False)
        return matrix

    return FeaturePlan(plan.hash, plan.names, plan.categorical, replay)  # type: ignore[arg-type]


def test_labels_after_the_cut_change_nothing_before_it(
    records: Records, learning: LearningSettings
) -> None:
    """The training fold is the same whatever labels say after validation begins."""
    plan = platform_features()
    table = assemble(records, learning, plan, SOURCE)
    changed = with_later_labels(records, table.description.folds.cut(Fold.TRAIN))
    assert is_unchanged(table.of(Fold.TRAIN), fold_of(changed, learning, Fold.TRAIN, plan))


def test_a_label_planted_into_a_feature_is_found(
    records: Records, learning: LearningSettings
) -> None:
    """The check above sees a feature that knows later labels."""
    plan = leaking_plan(records)
    table = assemble(records, learning, plan, SOURCE)
    changed = with_later_labels(records, table.description.folds.cut(Fold.TRAIN))
    assert not is_unchanged(table.of(Fold.TRAIN), fold_of(changed, learning, Fold.TRAIN, plan))


def test_features_do_not_see_later_events(records: Records, learning: LearningSettings) -> None:
    """Without the events after a moment, features of earlier events are bit-equal."""
    plan = platform_features()
    whole = plan.replay(records.events, records.labels)
    half = len(records.events) // 2
    first: NDArray[np.float64] = plan.replay(records.events.slice(0, half), records.labels).values
    assert np.array_equal(whole.values[:half], first, equal_nan=True)


def test_a_label_beside_its_event_is_no_feature_before_its_time() -> None:
    """Ten daily payments at one shop, frauds known after 7 and 5 days: seen on the day after that.

    The second fraud is known first, so labels come in another order than their events.
    """
    noon = 1_522_584_000_000_000  # 2018-04-01
    known_after = {0: 7, 1: 5}
    rows = [
        {
            **{"partition": 0, "offset": day, "timestamp_us": noon + day * DAY_US},
            **{"transaction_id": f"t{day}", "card_id": "c", "merchant_id": "m"},
            **{"schema_version": 1, "event_time": noon + day * DAY_US, "amount_minor": 1_000},
            "is_fraud": True if day in known_after else None,
            "label_time": noon + (day + known_after[day]) * DAY_US if day in known_after else None,
        }
        for day in range(10)
    ]
    label = (pa.field("is_fraud", pa.bool_()), pa.field("label_time", pa.int64()))
    labelled = pa.Table.from_pylist(rows, schema=pa.schema([*EVENT_SCHEMA, *label]))
    history, plan = offline_records(labelled, "transactions"), platform_features()
    column = plan.names.index("merchant_frauds_30d")
    seen = plan.replay(history.events, history.labels).values[:, column]
    assert seen.tolist() == [0, 0, 0, 0, 0, 0, 0, 1, 2, 2]
