"""How hard a world is: what single fields, single features and a reference model can see of it."""

from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from producer.hardness_sample import Sample
from producer.spec import HOUR_US

ALERT_SHARE = 0.01
"""Recall by campaign is measured with alerts on this share of the test transactions."""
RAW_FIELD_BOUND = 0.10
"""A field that reaches this average precision alone would give fraud away."""
_SMOOTHING_ROWS = 20
_CURVE_POINTS = 100
_NUMERIC = ("amount_minor", "latitude", "longitude", "utc_offset_minutes")
_CODED = (
    "merchant_category",
    "currency",
    "country",
    "channel",
    "card_id",
    "merchant_id",
    "device_id",
    "ip_prefix",
)
_EVENT_ONLY = ("merchant_category", "currency", "country", "channel")


@dataclass(frozen=True, slots=True)
class Hardness:
    """What the report says of one sample; average precision (AP) is on the last third of time.

    What is learned from labels leaves out transactions that may still get one: see `Sample.mature`.
    `precision_recall` has (recall, precision) points by what the model saw; `delay_days` has (days,
    share of fraud labels known by then), and is empty where labels come at once.
    """

    name: str
    transactions: int
    fraud_rate: float
    campaign_share: dict[str, float]
    raw_field_ap: dict[str, float]
    feature_ap: dict[str, float]
    reference_ap_no_history: float
    reference_ap_with_history: float
    reference_ap_from_labels: dict[str, float]
    campaign_recall: dict[str, float]
    labels: dict[str, float]
    precision_recall: dict[str, list[tuple[float, float]]]
    delay_days: list[tuple[float, float]]

    @property
    def max_raw_field_ap(self) -> float:
        """The best that a single field of the event can do."""
        return max(self.raw_field_ap.values())

    @property
    def max_feature_ap(self) -> float:
        """The best that a single engineered feature can do."""
        return max(self.feature_ap.values())

    @property
    def history_gain(self) -> float:
        """How many times better the reference model is with history."""
        return self.reference_ap_with_history / max(self.reference_ap_no_history, 1e-9)

    def as_json(self) -> dict[str, object]:
        """Plain values for a JSON file."""
        derived = ("max_raw_field_ap", "max_feature_ap", "history_gain")
        return {**asdict(self), **{name: getattr(self, name) for name in derived}}


def measure(sample: Sample, names: tuple[str, ...], features: NDArray[np.float64]) -> Hardness:
    """Measure a sample; `features` are its engineered features, a column for each of `names`.

    They may know the sample's labels from the moment on at which each arrived.
    """
    test = ~sample.train
    event_only = _event_columns(sample.events)
    everything = np.hstack([event_only, features])
    score = reference_scores(everything[sample.train], sample.truth[sample.train], everything[test])
    mature = sample.mature
    from_labels = reference_scores(everything[mature], sample.known[mature], everything[test])
    bare = reference_scores(event_only[sample.train], sample.truth[sample.train], event_only[test])
    return Hardness(
        name=sample.name,
        transactions=len(sample.truth),
        fraud_rate=float(sample.truth.mean()),
        campaign_share=_shares(sample.campaign[sample.truth]),
        raw_field_ap=raw_field_ap(sample),
        feature_ap={
            name: _either_way_ap(sample.truth[test], features[test, column])
            for column, name in enumerate(names)
        },
        reference_ap_no_history=_ap(sample.truth[test], bare),
        reference_ap_with_history=_ap(sample.truth[test], score),
        reference_ap_from_labels={
            "on_truth": _ap(sample.truth[test], from_labels),
            "on_labels": _ap(sample.label[test], from_labels),
        },
        campaign_recall=_recall(sample.campaign[test], score),
        labels=_label_quality(sample),
        precision_recall={
            "with history": _curve(sample.truth[test], score),
            "the event alone": _curve(sample.truth[test], bare),
        },
        delay_days=_delay_curve(sample.delay_hours),
    )


def raw_field_ap(sample: Sample) -> dict[str, float]:
    """AP of each field alone, target-encoded on the training part; the amount also as a number."""
    table, train, truth = sample.events, sample.train, sample.truth
    found = {}
    for name in (*_NUMERIC, *_CODED):
        if table[name].null_count < len(table):
            codes = _codes(table[name])
            found[name] = _ap(truth[~train], _encoded(codes, truth, train)[~train])
    for name in _NUMERIC[:1]:
        values = table[name].to_numpy().astype(np.float64)
        bins = np.searchsorted(np.quantile(values[train], np.linspace(0, 1, 100)), values)
        by_bin = _ap(truth[~train], _encoded(bins, truth, train)[~train])
        found[name] = max(by_bin, _either_way_ap(truth[~train], values[~train]))
    hour = table["event_time"].to_numpy() // HOUR_US
    for name, values in (("hour_of_day", hour % 24), ("hour_of_week", hour % 168)):
        found[f"event_time: {name}"] = _ap(truth[~train], _encoded(values, truth, train)[~train])
    return found


def reference_scores(
    learned: NDArray[np.float64], target: NDArray[np.bool_], judged: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Scores of the judged rows by a plain gradient-boosted model with fixed, untuned settings."""
    from xgboost import XGBClassifier

    model = XGBClassifier(
        n_estimators=150,
        max_depth=5,
        learning_rate=0.1,
        min_child_weight=5,
        base_score=0.5,
        tree_method="hist",
        max_bin=512,
        n_jobs=1,
        random_state=0,
    )
    model.fit(learned, target)
    scores: NDArray[np.float64] = model.predict_proba(judged)[:, 1].astype(np.float64)
    return scores


def _event_columns(events: pa.Table) -> NDArray[np.float64]:
    """What a model without memory may use: the event's own fields, ids left out."""
    hour = events["event_time"].to_numpy() // HOUR_US
    numbers = [_floats(events[name]) for name in _NUMERIC]
    codes = [_codes(events[name]).astype(np.float64) for name in _EVENT_ONLY]
    has = [
        events[name].is_valid().to_numpy().astype(np.float64) for name in ("device_id", "ip_prefix")
    ]
    return np.column_stack([*numbers, *codes, *has, hour % 24, hour // 24 % 7]).astype(np.float64)


def _floats(column: pa.ChunkedArray) -> NDArray[np.float64]:
    values: NDArray[np.float64] = pc.cast(column, pa.float64()).to_numpy()
    return values


def _codes(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """A number for each distinct value, 0 for null."""
    coded = column.combine_chunks().dictionary_encode()
    codes: NDArray[np.int64] = pc.fill_null(coded.indices, -1).to_numpy() + 1
    return codes.astype(np.int64)


def _encoded(
    codes: NDArray[np.int64], truth: NDArray[np.bool_], train: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Each value's smoothed fraud share in the training part."""
    size = int(codes.max()) + 1
    rows = np.bincount(codes[train], minlength=size)
    frauds = np.bincount(codes[train], truth[train], minlength=size)
    share = (frauds + _SMOOTHING_ROWS * truth[train].mean()) / (rows + _SMOOTHING_ROWS)
    encoded: NDArray[np.float64] = share[codes]
    return encoded


def _ap(truth: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    return float(average_precision_score(truth, score))


def _either_way_ap(truth: NDArray[np.bool_], values: NDArray[np.float64]) -> float:
    """The better of "high is suspicious" and "low is suspicious"; missing ranks last."""
    high = np.where(np.isnan(values), -np.inf, values)
    low = np.where(np.isnan(values), -np.inf, -values)
    finite = [np.clip(side, -1e300, 1e300) for side in (high, low)]
    return max(_ap(truth, side) for side in finite)


def _curve(truth: NDArray[np.bool_], score: NDArray[np.float64]) -> list[tuple[float, float]]:
    """(recall, precision) after each hundredth of the frauds."""
    hits = np.cumsum(truth[np.argsort(-score, kind="stable")])
    wanted = np.unique(np.ceil(np.linspace(0.01, 1, _CURVE_POINTS) * hits[-1])).astype(np.int64)
    ranks = np.searchsorted(hits, wanted) + 1
    return [
        (float(found / hits[-1]), float(found / rank))
        for found, rank in zip(wanted, ranks, strict=True)
    ]


def _delay_curve(hours: NDArray[np.float64]) -> list[tuple[float, float]]:
    if not hours.any():
        return []
    shares = np.linspace(0, 1, _CURVE_POINTS)
    days = np.quantile(hours, shares) / 24
    return list(zip(days.tolist(), shares.tolist(), strict=True))


def _recall(campaign: NDArray[np.str_], score: NDArray[np.float64]) -> dict[str, float]:
    """The share of each campaign's test transactions among the highest scores."""
    alerts = max(1, round(ALERT_SHARE * len(score)))
    threshold = np.partition(score, -alerts)[-alerts]
    return {
        str(name): float((score[campaign == name] >= threshold).mean())
        for name in np.unique(campaign)
        if name
    }


def _shares(names: NDArray[np.str_]) -> dict[str, float]:
    found, counts = np.unique(names, return_counts=True)
    return {str(n): float(c / counts.sum()) for n, c in zip(found, counts, strict=True)}


def _label_quality(sample: Sample) -> dict[str, float]:
    """How far the labels are from the truth, and how late."""
    known = sample.truth.sum()
    return {
        "unreported_share": float((sample.truth & ~sample.label).sum() / max(known, 1)),
        "wrong_share_of_labels": float(
            (~sample.truth & sample.label).sum() / max(sample.label.sum(), 1)
        ),
        "median_delay_hours": float(np.median(sample.delay_hours)),
        "p95_delay_hours": sample.maturity_hours,
    }
