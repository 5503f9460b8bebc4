"""From a snapshot to its training table: replay features, join labels, lay folds."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contracts.errors import TrainingError
from contracts.settings import LearningSettings, Settings
from models.folds import DAY_US, Fold, Folds, plan_folds
from models.labels import (
    UNKNOWN,
    LabelLog,
    Treatment,
    knowledge_at,
    match_labels,
    read_treatment,
)
from models.objects import Objects, open_objects
from models.snapshot import load_manifest, read_snapshot
from models.snapshot_manifest import SnapshotManifest, SnapshotPart
from models.table import (
    MAX_UNREADABLE_SHARE,
    Rows,
    TableSource,
    TrainingTable,
    describe,
    store_table,
)

MIN_FRAUDS = {Fold.TRAIN: 50, Fold.SELECT: 10, Fold.CALIBRATE: 10, Fold.TEST: 10}


class Features(Protocol):
    """What the replay engine returns; rows in input order, NaN where missing."""

    @property
    def values(self) -> NDArray[np.float64]:
        """One row per event, one column per feature."""
        ...

    @property
    def is_duplicate(self) -> NDArray[np.bool_]:
        """Repeats of an earlier (card, transaction) pair."""
        ...


@dataclass(frozen=True, slots=True)
class FeaturePlan:
    """The feature set in use: identity, names, which are codes, and how to compute them."""

    hash: str
    names: tuple[str, ...]
    categorical: tuple[str, ...]
    replay: Callable[[pa.Table, pa.Table], Features]


def platform_features() -> FeaturePlan:
    """The platform's own feature set and replay engine."""
    from features.definition import FEATURE_SET
    from features.engine import replay

    categorical = tuple(f.name for f in FEATURE_SET.features if f.kind == "categorical")
    return FeaturePlan(
        FEATURE_SET.hash,
        FEATURE_SET.names,
        categorical,
        lambda events, labels: replay(events, labels=labels),
    )


def build_training_table(
    settings: Settings, manifest_uri: str, plan: FeaturePlan | None = None
) -> str:
    """Build and store the table of a snapshot under these settings; the URI of its description.

    Same snapshot, settings and features: same address, and a second call builds nothing.

    Raises:
        TrainingError: no labels, one class only, too few frauds or too short a history.
        ObjectStoreError: the object store is out of reach, or the snapshot is damaged.
    """
    objects = open_objects(settings.object_store)
    plan = plan or platform_features()
    manifest = load_manifest(settings, manifest_uri)
    steps_back = range(settings.learning.prequential_folds - 1, -1, -1)
    earlier: list[str] = []
    for back in steps_back:
        earlier.append(_one_table(settings, objects, manifest, plan, back, tuple(earlier)))
    return earlier[-1]


def _one_table(
    settings: Settings,
    objects: Objects,
    manifest: SnapshotManifest,
    plan: FeaturePlan,
    back: int,
    earlier: tuple[str, ...],
) -> str:
    """The table as of `back` test lengths ago; the newest one names the earlier ones."""
    known = earlier if back == 0 else ()
    key = _table_key(manifest, settings.learning, plan, back, known)
    if objects.get(f"{key}/table.json") is None:
        table = make_table(settings, objects, manifest, plan, key, back)
        notes = table.description.notes | {"earlier_tables": list(known)}
        described = replace(table.description, notes=notes)
        store_table(objects, replace(table, description=described))
    return objects.uri(f"{key}/table.json")


def _table_key(
    manifest: SnapshotManifest,
    learning: LearningSettings,
    plan: FeaturePlan,
    back: int,
    earlier: tuple[str, ...],
) -> str:
    chosen = {
        name: getattr(learning, name)
        for name in ("maturity_days", "train_days", "validation_days", "test_days")
    }
    parts = [manifest.content_hash, plan.hash, chosen, back, earlier]
    body = json.dumps(parts, sort_keys=True)
    return f"tables/{hashlib.sha256(body.encode()).hexdigest()[:24]}"


@dataclass(frozen=True, slots=True)
class Records:
    """The four tables of a history, as a snapshot or an offline file gives them."""

    events: pa.Table
    labels: pa.Table
    decisions: pa.Table
    outcomes: pa.Table
    topic: str


def make_table(
    settings: Settings,
    objects: Objects,
    manifest: SnapshotManifest,
    plan: FeaturePlan,
    key: str,
    back: int = 0,
) -> TrainingTable:
    """The table itself; see `build_training_table`."""
    kafka = settings.kafka
    _refuse_unreadable(manifest.part(kafka.topic))
    records = Records(
        events=read_snapshot(objects, manifest, kafka.topic),
        labels=read_snapshot(objects, manifest, kafka.labels_topic),
        decisions=read_snapshot(objects, manifest, kafka.scores_topic),
        outcomes=read_snapshot(objects, manifest, kafka.outcomes_topic),
        topic=kafka.topic,
    )
    ranges = {
        topic: {str(p): end for p, end in manifest.end_offsets(topic).items()}
        for topic in sorted({span.topic for span in manifest.ranges})
    }
    source = TableSource(key, manifest.uri, manifest.content_hash, ranges)
    return assemble(records, settings.learning, plan, source, back)


def assemble(
    records: Records,
    learning: LearningSettings,
    plan: FeaturePlan,
    source: TableSource,
    back: int = 0,
) -> TrainingTable:
    """Features, folds and knowledge of a history, or as it was `back` test lengths ago.

    Raises:
        TrainingError: no labels, one class only, too few frauds or too short a history.
    """
    folds = _folds(records.events, learning, back)
    features = plan.replay(records.events, records.labels)
    rows, fold, notes = _join(records, features, folds, learning.maturity_days * DAY_US)
    counts = _counts(rows, fold)
    _refuse_poor(counts)
    description = describe(source, plan.hash, plan.names, plan.categorical, folds, counts, notes)
    return TrainingTable(description, rows, fold)


def _refuse_unreadable(part: SnapshotPart) -> None:
    unreadable = sum(part.unreadable.values())
    if unreadable > MAX_UNREADABLE_SHARE * part.records:
        raise TrainingError(
            f"{unreadable} of {part.records} transactions are unreadable: {part.unreadable}",
            remedy="Look into the dead-letter topic; has a publisher changed its schema?",
        )


def _folds(events: pa.Table, learning: LearningSettings, back: int) -> Folds:
    if len(events) == 0:
        raise TrainingError(
            "there are no transactions",
            remedy="Publish some first: `fraud produce backfill` or `fraud import`",
        )
    span = pc.min_max(events["timestamp_us"]).as_py()
    return plan_folds(span["min"], span["max"] - back * learning.test_days * DAY_US, learning)


def _join(
    records: Records, features: Features, folds: Folds, maturity_us: int
) -> tuple[Rows, NDArray[np.int8], dict[str, Any]]:
    """Rows of the folds in (event time, source) order, with what was known at each fold's cut."""
    events = records.events
    log = match_labels(events, records.labels)
    treatment = read_treatment(events, records.decisions, records.outcomes, records.topic)
    time: NDArray[np.int64] = events["event_time"].to_numpy()
    fold = folds.assign(time)
    fold[features.is_duplicate] = Fold.NONE
    target, judging = _known(log, treatment, time, fold, folds, maturity_us)
    chosen = np.flatnonzero((fold != Fold.NONE) & (target != UNKNOWN))
    chosen = chosen[np.argsort(time[chosen], kind="stable")]
    card = _codes(events["card_id"])
    compromised = _compromised(log.first_fraud(card), time, folds.now)
    notes = {
        "labels": len(records.labels),
        "labels_without_transaction": log.unmatched,
        "decisions": len(records.decisions),
        "outside_population_share": float(treatment.is_stopped[fold != Fold.NONE].mean()),
        "duplicates": int(features.is_duplicate.sum()),
    }
    rows = Rows(
        values=features.values[chosen],
        target=target[chosen],
        weight=treatment.weight[chosen],
        event_time=time[chosen],
        amount_minor=events["amount_minor"].to_numpy()[chosen],
        card=card[chosen],
        transaction_id=_strings(events, "transaction_id", chosen),
        category=_strings(events, "merchant_category", chosen),
        country=_strings(events, "country", chosen),
        is_evaluated=judging[chosen],
        is_compromised=compromised[chosen],
    )
    return rows, fold[chosen], notes


def _known(
    log: LabelLog,
    treatment: Treatment,
    time: NDArray[np.int64],
    fold: NDArray[np.int8],
    folds: Folds,
    maturity_us: int,
) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """Targets, and who may judge: each fold as of its own cut."""
    target = np.full(len(time), UNKNOWN, dtype=np.int8)
    judging = np.zeros(len(time), dtype=bool)
    for name in (Fold.TRAIN, Fold.SELECT, Fold.CALIBRATE, Fold.TEST):
        known = knowledge_at(log, treatment, time, folds.cut(name), maturity_us)
        target = np.where(fold == name, known.target, target).astype(np.int8)
        judging |= (fold == name) & known.is_evaluated
    return target, judging


def _compromised(
    first_fraud: NDArray[np.int64], time: NDArray[np.int64], now: int
) -> NDArray[np.bool_]:
    """From the day after a card's first fraud label on."""
    day_after = (np.minimum(first_fraud, now) // DAY_US + 1) * DAY_US
    late: NDArray[np.bool_] = (first_fraud < now) & (time >= day_after)
    return late


def _strings(events: pa.Table, name: str, rows: NDArray[np.int64]) -> NDArray[np.object_]:
    text: NDArray[np.object_] = (
        events[name].take(pa.array(rows)).to_numpy(zero_copy_only=False).astype(object)
    )
    return text


def _codes(column: pa.ChunkedArray) -> NDArray[np.int64]:
    codes = pc.dictionary_encode(column.combine_chunks()).indices
    numbers: NDArray[np.int64] = codes.to_numpy(zero_copy_only=False).astype(np.int64)
    return numbers


def _counts(rows: Rows, fold: NDArray[np.int8]) -> dict[str, dict[str, int]]:
    return {
        name.name.lower(): {
            "transactions": int((fold == name).sum()),
            "frauds": int(rows.target[fold == name].sum()),
        }
        for name in (Fold.TRAIN, Fold.SELECT, Fold.CALIBRATE, Fold.TEST)
    }


def _refuse_poor(counts: dict[str, dict[str, int]]) -> None:
    """Refuse folds that cannot teach or judge.

    Raises:
        TrainingError: an empty fold, one class only, or too few frauds.
    """
    for fold, least in MIN_FRAUDS.items():
        name = fold.name.lower()
        total, frauds = counts[name]["transactions"], counts[name]["frauds"]
        if total == 0 or frauds == total:
            raise TrainingError(f"the {name} fold has one class only", value=counts[name])
        if frauds < least:
            raise TrainingError(
                f"the {name} fold has {frauds} known frauds among {total} transactions; "
                f"at least {least} are needed",
                remedy="Wait for more labels, or lengthen the fold in the form",
            )
