"""Labels: what is reported about a day's purchases, when, and what is taken back."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from producer.day import LEGITIMATE, Day
from producer.delays import CHARGEBACK, CORRECTION, NEVER, delays_us
from producer.spec import Stream, WorldSpec

_MISTAKEN_SHARE = 0.00025
"""Honest purchases that their own holder does not recognise and disputes."""
_TAKEN_BACK_SHARE = 0.6


@dataclass(frozen=True, slots=True)
class Labels:
    """Columns over labels; the purchase is number `row` of `day`, `source` is as in delays."""

    label_us: NDArray[np.int64]
    day: NDArray[np.int64]
    row: NDArray[np.int64]
    event_us: NDArray[np.int64]
    account: NDArray[np.int64]
    generation: NDArray[np.int64]
    merchant: NDArray[np.int64]
    is_fraud: NDArray[np.bool_]
    source: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.label_us)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "Labels":
        """These rows, in this order."""
        return Labels(*(getattr(self, field.name)[rows] for field in fields(self)))


def in_label_order(parts: list[Labels]) -> Labels:
    """All rows of all parts by label time; equal times by purchase, so that the order is fixed."""
    names = [field.name for field in fields(Labels)]
    labels = Labels(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
    return labels.take(np.lexsort((labels.row, labels.day, labels.label_us)))


def labels_of(
    spec: WorldSpec, day: Day, label_us: NDArray[np.int64], source: NDArray[np.int64]
) -> Labels:
    """Every label that a day's purchases will ever get; `label_us` and `source` are per row."""
    rows = np.flatnonzero(label_us != NEVER)
    frauds = _labels(day, rows, label_us[rows], True, source[rows])
    mistaken, corrected = _mistakes(spec, day)
    return in_label_order([frauds, mistaken, corrected])


def _mistakes(spec: WorldSpec, day: Day) -> tuple[Labels, Labels]:
    """Disputes of honest purchases, and the corrections of most of them."""
    rng = spec.rng(Stream.LABELS, day.number)
    honest = day.purchases.campaign == LEGITIMATE
    rows = np.flatnonzero(honest & (rng.random(len(day)) < _MISTAKEN_SHARE))
    disputed_us = day.purchases.event_us[rows] + delays_us(spec, CHARGEBACK, len(rows), rng)
    corrected_us = disputed_us + delays_us(spec, CORRECTION, len(rows), rng)
    back = rng.random(len(rows)) < _TAKEN_BACK_SHARE
    chargeback = np.full(len(rows), CHARGEBACK)
    correction = np.full(len(rows), CORRECTION)
    return (
        _labels(day, rows, disputed_us, True, chargeback),
        _labels(day, rows[back], corrected_us[back], False, correction[back]),
    )


def _labels(
    day: Day,
    rows: NDArray[np.int64],
    label_us: NDArray[np.int64],
    is_fraud: bool,
    source: NDArray[np.int64],
) -> Labels:
    size = len(rows)
    return Labels(
        label_us=label_us,
        day=np.full(size, day.number),
        row=rows,
        event_us=day.purchases.event_us[rows],
        account=day.purchases.account[rows],
        generation=day.generation[rows],
        merchant=day.purchases.merchant[rows],
        is_fraud=np.full(size, is_fraud, dtype=np.bool_),
        source=source,
    )
