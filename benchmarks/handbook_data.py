"""The Fraud-Detection-Handbook's transactions and its published 15 features."""

import argparse
import os
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from handbook_windows import DAY, Floats, history
from numpy.typing import NDArray

EPOCH = date(2018, 4, 1)
DELAY_DAYS = 7
WINDOWS = (1, 7, 30)


@dataclass(frozen=True, slots=True)
class Transactions:
    """Columns in time order; `day` counts from 2018-04-01, `seconds` from its midnight."""

    seconds: NDArray[np.int64]
    day: NDArray[np.int64]
    customer: NDArray[np.int64]
    terminal: NDArray[np.int64]
    amount: Floats
    fraud: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.day)


def day_of(text: str) -> int:
    """Days from the beginning of the data to an ISO date."""
    return (date.fromisoformat(text) - EPOCH).days


def find_file(told: str) -> Path | None:
    """The first argument, HANDBOOK_FILE, or ../shared/data beside the checkout; None without one.

    A file that was named must be there; `told` is what `--help` says of the script.
    """
    parser = argparse.ArgumentParser(description=told.splitlines()[0])
    named_before = os.environ.get("HANDBOOK_FILE", "")
    parser.add_argument("file", nargs="?", default=named_before, help="transactions as Parquet")
    named = parser.parse_args().file
    if named and not Path(named).is_file():
        parser.error(f"there is no file {named}")
    beside = Path(__file__).resolve().parents[2] / "shared/data/handbook_transactions.parquet"
    path = Path(named) if named else beside
    return path if path.is_file() else None


def load(path: Path, last_day: int) -> Transactions:
    """Rows up to and including a day; later ones are filtered out while reading."""
    names = ["TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT", "TX_FRAUD"]
    after = datetime.combine(EPOCH, datetime.min.time()) + timedelta(days=last_day + 1)
    table = pq.read_table(path, columns=names, filters=pc.field("TX_DATETIME") < after)
    stamp = table["TX_DATETIME"].to_numpy().astype("datetime64[s]")
    seconds = (stamp - np.datetime64(EPOCH.isoformat(), "s")).astype(np.int64)
    order = np.argsort(seconds, kind="stable")
    columns = [table[name].to_numpy()[order] for name in names[1:]]
    customer, terminal = (column.astype(np.int64) for column in columns[:2])
    seconds = seconds[order]
    return Transactions(seconds, seconds // DAY, customer, terminal, columns[2], columns[3])


def published_features(rows: Transactions) -> tuple[Floats, list[str]]:
    """Amount, weekend, night, and per window the customer's count and mean, terminal's and risk."""
    weekday = (rows.day + EPOCH.weekday()) % 7
    columns: dict[str, Floats] = {
        "amount": rows.amount,
        "weekend": (weekday >= 5).astype(float),
        "night": (rows.seconds % DAY // 3600 <= 6).astype(float),
    }
    columns |= _customer(rows) | _terminal(rows)
    return np.column_stack(list(columns.values())), list(columns)


def _customer(rows: Transactions) -> dict[str, Floats]:
    past = history(rows.customer, rows.seconds)
    ones, amount = np.ones(len(rows)), past.take(rows.amount)
    columns: dict[str, Floats] = {}
    for days in WINDOWS:
        count = past.totals(ones, days * DAY)
        columns[f"customer_count_{days}d"] = past.restore(count)
        columns[f"customer_mean_{days}d"] = past.restore(past.totals(amount, days * DAY) / count)
    return columns


def _terminal(rows: Transactions) -> dict[str, Floats]:
    past = history(rows.terminal, rows.seconds)
    ones, fraud = np.ones(len(rows)), past.take(rows.fraud.astype(float))
    delay = DELAY_DAYS * DAY
    columns: dict[str, Floats] = {}
    for days in WINDOWS:
        count = past.totals(ones, delay + days * DAY) - past.totals(ones, delay)
        frauds = past.totals(fraud, delay + days * DAY) - past.totals(fraud, delay)
        risk = np.divide(frauds, count, out=np.zeros_like(frauds), where=count > 0)
        columns[f"terminal_count_{days}d"] = past.restore(count)
        columns[f"terminal_risk_{days}d"] = past.restore(risk)
    return columns
