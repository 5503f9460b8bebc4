"""More features for the Handbook's table: the terminal's known spells, the customer's own scale.

Everything about frauds is as known a week later; everything else reads the past alone.
"""

import numpy as np
from handbook_data import DELAY_DAYS, Transactions, published_features
from handbook_windows import DAY, Floats, History, history
from numpy.typing import NDArray

DELAY = DELAY_DAYS * DAY
NEVER = 90.0
ALWAYS = 399 * DAY
LARGE_RATIO = 2.5
PLAIN_RATIO = 2.0


def our_features(rows: Transactions) -> tuple[Floats, list[str]]:
    """The published features and ours, side by side."""
    values, names = published_features(rows)
    scale = _customer_scale(rows)
    columns = _terminal_spells(rows, scale["customer_own_ratio"]) | scale | _rhythm(rows)
    return np.column_stack([values, *columns.values()]), [*names, *columns]


def _last_where(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Per position the last marked position up to it, -1 before the first."""
    marked = np.where(mask, np.arange(len(mask)), -1)
    return np.maximum.accumulate(marked)


def _terminal_spells(rows: Transactions, own_ratio: Floats) -> dict[str, Floats]:
    """A compromised terminal turns every payment into a fraud for some weeks, seen a week late.

    A fraud of an amount that is usual for the customer (*plain*) points to the terminal; one of an
    unusual amount may be the customer's own story.
    """
    past = history(rows.terminal, rows.seconds)
    time, fraud = past.take(rows.seconds.astype(float)), past.take(rows.fraud.astype(float))
    plain = fraud * (past.take(own_ratio) < PLAIN_RATIO)
    columns = _known_counts(past, fraud)
    columns |= _known_spell(past, time, fraud == 1)
    columns |= {
        f"plain_{name}": column for name, column in _known_spell(past, time, plain == 1).items()
    }
    for days in (7, 14, 28):
        window = DELAY + days * DAY
        columns[f"plain_{days}d"] = past.totals(plain, window) - past.totals(plain, DELAY)
    return {f"terminal_{name}": past.restore(column) for name, column in columns.items()}


def _known_counts(past: History, fraud: Floats) -> dict[str, Floats]:
    ones = np.ones(len(fraud))
    columns: dict[str, Floats] = {}
    for days in (3, 14, 28):
        window = DELAY + days * DAY
        columns[f"frauds_{days}d"] = past.totals(fraud, window) - past.totals(fraud, DELAY)
        columns[f"known_{days}d"] = past.totals(ones, window) - past.totals(ones, DELAY)
    columns["unknown_count"] = past.totals(ones, DELAY)
    return columns


def _known_spell(past: History, time: Floats, is_fraud: NDArray[np.bool_]) -> dict[str, Floats]:
    """How the known history ends: frauds in a row, honest ones since, and for how long."""
    last_known = past.start(DELAY) - 1
    exists = last_known >= past.first
    at = np.maximum(last_known, 0)
    fraud, honest = _last_where(is_fraud)[at], _last_where(~is_fraud)[at]
    has_fraud = exists & (fraud >= past.first)
    begin = np.minimum(np.maximum(honest + 1, past.first), len(time) - 1)
    in_spell = exists & (last_known > honest)
    return {
        "days_since_fraud": np.where(has_fraud, (time - time[np.maximum(fraud, 0)]) / DAY, NEVER),
        "honest_since_fraud": np.where(has_fraud, last_known - fraud, NEVER),
        "frauds_in_row": np.where(in_spell, last_known - np.maximum(honest, past.first - 1), 0.0),
        "spell_days": np.where(in_spell, (time - time[begin]) / DAY, -1.0),
        "days_since_honest": np.where(
            exists & (honest >= past.first), (time - time[np.maximum(honest, 0)]) / DAY, NEVER
        ),
        "days_since_known": np.where(exists, (time - time[at]) / DAY, NEVER),
    }


def _customer_scale(rows: Transactions) -> dict[str, Floats]:
    """Amounts against the customer's own: a stolen card spends several times as much."""
    past = history(rows.customer, rows.seconds)
    amount = past.take(rows.amount)
    ratio, columns = _against_own(past, amount)
    own = amount / _usual(past, amount, ratio)
    columns["own_ratio"] = own
    large = (own > LARGE_RATIO).astype(float)
    excess = np.clip(np.nan_to_num(own) - 1.0, -0.5, 6.0)
    for days in (1, 3, 7, 14):
        columns[f"large_{days}d"] = past.totals(large, days * DAY) - large
        top = past.totals(amount * large, days * DAY) - amount * large
        columns[f"large_sum_{days}d"] = top
        columns[f"excess_{days}d"] = past.totals(excess, days * DAY) - excess
        count = past.totals(np.ones(len(amount)), days * DAY)
        columns[f"large_share_{days}d"] = columns[f"large_{days}d"] / count
    fraud = past.take(rows.fraud.astype(float))
    for days in (7, 28):
        window = DELAY + days * DAY
        columns[f"frauds_{days}d"] = past.totals(fraud, window) - past.totals(fraud, DELAY)
    return {f"customer_{name}": past.restore(column) for name, column in columns.items()}


def _usual(past: History, amount: Floats, ratio: Floats) -> Floats:
    """Mean of the customer's earlier amounts without those that stood out when they came."""
    usual = (~(ratio > LARGE_RATIO)).astype(float)
    total = past.totals(amount * usual, ALWAYS) - amount * usual
    count = past.totals(usual, ALWAYS) - usual
    return np.divide(total, count, out=np.full(len(amount), np.nan), where=count > 0)


def _against_own(past: History, amount: Floats) -> tuple[Floats, dict[str, Floats]]:
    """Ratio and z against everything the customer spent before, and against a month."""
    position = np.arange(len(amount)) - past.first
    total = past.totals(amount, ALWAYS) - amount
    square = past.totals(amount**2, ALWAYS) - amount**2
    count = np.maximum(position, 1)
    mean = np.where(position > 0, total / count, np.nan)
    deviation = np.sqrt(np.maximum(square / count - mean**2, 1.0))
    month = past.totals(amount, 30 * DAY) - amount
    month_count = past.totals(np.ones(len(amount)), 30 * DAY) - 1
    month_mean = np.divide(
        month, month_count, out=np.full(len(amount), np.nan), where=month_count > 0
    )
    ratio = amount / mean
    return ratio, {
        "mean": mean,
        "deviation": deviation,
        "ratio": ratio,
        "z": (amount - mean) / deviation,
        "ratio_30d": amount / month_mean,
        "seen": position.astype(float),
    }


def _rhythm(rows: Transactions) -> dict[str, Floats]:
    """Time of day, and how long the customer and the terminal were silent."""
    columns = {"hour": rows.seconds % DAY / 3600.0}
    for name, entity in (("customer", rows.customer), ("terminal", rows.terminal)):
        past = history(entity, rows.seconds)
        time = past.take(rows.seconds.astype(float))
        gap = np.diff(time, prepend=0.0) / DAY
        gap[np.unique(past.first)] = np.nan
        columns[f"{name}_gap_days"] = past.restore(gap)
    return columns
