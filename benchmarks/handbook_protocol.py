"""The Handbook's prequential protocol: folds, known cards removed, its three figures."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from handbook_data import DELAY_DAYS, Transactions, day_of
from handbook_windows import Floats
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

WEEK = 7
TEST_STARTS = ("2018-08-15", "2018-08-08", "2018-08-01", "2018-07-25")
VALIDATION_STARTS = ("2018-07-11", "2018-07-04", "2018-06-27", "2018-06-20")
TOP = 100


@dataclass(frozen=True, slots=True)
class Split:
    """Row numbers of one fold; `train` ends a week before `test` begins."""

    train: NDArray[np.int64]
    test: NDArray[np.int64]


def split(rows: Transactions, start: str, history_days: int = WEEK) -> Split:
    """Train on the week from `start`, or on more days that end with it; test a week, a week later.

    Test rows of cards with a fraud known by then are left out: those of the published training
    week, and those labelled since, a week late, whatever the length of the history.
    """
    first = day_of(start)
    end = first + WEEK
    train = np.flatnonzero((rows.day >= end - history_days) & (rows.day < end))
    week = (rows.day >= first) & (rows.day < end)
    known = set(rows.customer[week & (rows.fraud == 1)].tolist())
    kept: list[NDArray[np.int64]] = []
    for day in range(end + DELAY_DAYS, end + DELAY_DAYS + WEEK):
        learned = (rows.day == day - DELAY_DAYS - 1) & (rows.fraud == 1)
        known.update(rows.customer[learned].tolist())
        today = np.flatnonzero(rows.day == day)
        kept.append(today[~np.isin(rows.customer[today], list(known))])
    return Split(train, np.concatenate(kept))


def figures(rows: Transactions, test: NDArray[np.int64], score: Floats) -> dict[str, float]:
    """AUC, average precision and card precision@100 of scores for test rows."""
    target = rows.fraud[test]
    return {
        "auc": float(roc_auc_score(target, score)),
        "ap": float(average_precision_score(target, score)),
        "cp100": card_precision(rows, test, score),
    }


def card_precision(rows: Transactions, test: NDArray[np.int64], score: Floats) -> float:
    """Mean daily share of frauds among the 100 best cards; a found one is not looked at again."""
    found: set[int] = set()
    daily: list[float] = []
    for day in np.unique(rows.day[test]):
        today = np.flatnonzero(rows.day[test] == day)
        best = today[np.argsort(-score[today], kind="stable")]
        cards = [c for c in dict.fromkeys(rows.customer[test][best].tolist()) if c not in found]
        fraudulent = set(rows.customer[test][today[rows.fraud[test][today] == 1]].tolist())
        caught = [card for card in cards[:TOP] if card in fraudulent]
        daily.append(len(caught) / TOP)
        found.update(caught)
    return float(np.mean(daily))


def mean_figures(folds: Iterable[dict[str, float]]) -> dict[str, float]:
    """The mean of each figure over folds."""
    listed = list(folds)
    return {name: float(np.mean([fold[name] for fold in listed])) for name in listed[0]}
