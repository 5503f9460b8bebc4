"""The Fraud-Detection-Handbook's 15 features in the platform's definition language.

    python benchmarks/handbook_features.py

Two feature sets are declared: a customer's windows (count and mean over 1, 7 and 30 days, this
transaction included) with hour and weekday, and a terminal's windows, whose events are folded as a
card's are, with the fraud flag as the amount. A window that ends seven days before is the
difference of two. Both are replayed by the platform's kernel over the whole table and compared,
row by row, with pandas' rolling windows, written from the published definitions. Rows of one
customer in the same second may differ: the Handbook's table orders them as it pleases.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from handbook_data import DELAY_DAYS, WINDOWS
from numpy.typing import NDArray

from contracts.columns import EVENT_SCHEMA
from features.definition import FeatureSet
from features.engine import replay
from features.feature import Feature
from features.layout import DAY
from features.statistic import Instant, Windowed

Floats = NDArray[np.float64]

ROOT = Path(__file__).resolve().parents[1]
DEFAULT = ROOT.parent / "shared" / "data" / "handbook_transactions.parquet"

CUSTOMER = FeatureSet(
    (
        Feature(Instant.AMOUNT, "monetary", "TX_AMOUNT", entity="transaction"),
        Feature(Instant.IS_WEEKEND, "temporal", "TX_DURING_WEEKEND", entity="transaction"),
        Feature(Instant.HOUR, "temporal", "TX_DURING_NIGHT: up to 6", entity="transaction"),
        *(
            Feature(statistic, "behavioural", "Customer's window", window_ms=days * DAY)
            for days in WINDOWS
            for statistic in (Windowed.COUNT, Windowed.MEAN)
        ),
    )
)
TERMINAL = FeatureSet(
    tuple(
        Feature(
            statistic,
            "merchant",
            "Terminal's events, or frauds among them",
            window_ms=days * DAY,
            is_replay_only=True,
        )
        for days in (DELAY_DAYS, *(DELAY_DAYS + window for window in WINDOWS))
        for statistic in (Windowed.COUNT, Windowed.SUM)
    )
)


def main() -> None:
    """Compute both ways, compare, print the figures as JSON."""
    parser = argparse.ArgumentParser(description="The Handbook's features, twice")
    parser.add_argument("file", nargs="?", help="the transactions; default: found as data")
    parser.add_argument("--rows", type=int, default=0, help="only the first so many")
    arguments = parser.parse_args()
    path = Path(arguments.file or os.environ.get("HANDBOOK_FILE") or DEFAULT)
    if not path.is_file():
        sys.exit("the Handbook's transactions are not there: name the file")
    table = read(path, arguments.rows)
    customer, seconds = timed("customers, ours", lambda: customer_features(table))
    terminal, more = timed("terminals, ours", lambda: terminal_features(table))
    theirs, _ = timed("customers, pandas", lambda: customer_by_pandas(table))
    their_terminals, _ = timed("terminals, pandas", lambda: terminal_by_pandas(table))
    print(json.dumps({
        "rows": len(table),
        "features": customer.shape[1] + terminal.shape[1],
        "terminal_mismatches": mismatches(terminal, their_terminals),
        "customer_mismatches": mismatches(customer, theirs),
        "events_per_second": round(len(table) / (seconds + more)),
    }))  # fmt: skip


def read(path: Path, rows: int) -> pd.DataFrame:
    """The published columns in order of time, ties as in the table."""
    names = ["TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT", "TX_FRAUD"]
    frame: pd.DataFrame = pq.read_table(path, columns=names).to_pandas()
    frame = frame.sort_values("TX_DATETIME", kind="stable", ignore_index=True)
    return frame.head(rows) if rows else frame


def timed(name: str, compute: Callable[[], Floats]) -> tuple[Floats, float]:
    """A computation's values and seconds; tells that it is done."""
    began = time.monotonic()
    values = compute()
    seconds = time.monotonic() - began
    print(f"{name}: {seconds:.1f} s", file=sys.stderr, flush=True)
    return values, seconds


def events(frame: pd.DataFrame, entity: str, amounts: NDArray[np.int64]) -> pa.Table:
    """The table as events of one partition, `entity` in the card's place."""
    size = len(frame)
    time_us = frame["TX_DATETIME"].to_numpy().astype("datetime64[us]").astype(np.int64)
    columns: dict[str, pa.Array] = {name: pa.nulls(size, EVENT_SCHEMA.field(name).type)
                                    for name in EVENT_SCHEMA.names}  # fmt: skip
    columns |= {
        "partition": pa.array(np.zeros(size, dtype=np.int32)),
        "offset": pa.array(np.arange(size)),
        "timestamp_us": pa.array(time_us),
        "event_time": pa.array(time_us),
        "transaction_id": pc_text(np.arange(size)),
        "card_id": pc_text(frame[entity].to_numpy()),
        "merchant_id": pc_text(frame["TERMINAL_ID"].to_numpy()),
        "amount_minor": pa.array(amounts),
    }
    return pa.table(columns, schema=EVENT_SCHEMA)


def pc_text(numbers: NDArray[np.int64]) -> pa.Array:
    """Numbers as strings."""
    return pa.array(numbers).cast(pa.string())


def customer_features(frame: pd.DataFrame) -> Floats:
    """Amount, weekend, night, and count and mean of the customer's windows."""
    amounts = np.rint(frame["TX_AMOUNT"].to_numpy() * 100).astype(np.int64)
    values = replay(events(frame, "CUSTOMER_ID", amounts), feature_set=CUSTOMER).values
    values[:, 2] = values[:, 2] <= 6
    for column in (0, 4, 6, 8):
        values[:, column] /= 100
    return values


def terminal_features(frame: pd.DataFrame) -> Floats:
    """Count and share of fraud of the terminal's windows that end seven days before."""
    frauds = frame["TX_FRAUD"].to_numpy().astype(np.int64)
    values = replay(events(frame, "TERMINAL_ID", frauds), feature_set=TERMINAL).values
    columns = []
    for place in range(1, 1 + len(WINDOWS)):
        count, fraud = values[:, 2 * place : 2 * place + 2].T - values[:, :2].T
        columns += [count, np.divide(fraud, count, out=np.zeros(len(count)), where=count > 0)]
    return np.column_stack(columns)


def rolled(frame: pd.DataFrame, entity: str, column: str, days: int, kind: str) -> Floats:
    """A rolling window of a column over each entity's rows, in table order."""
    indexed = frame[["TX_DATETIME", entity, column]].set_index("TX_DATETIME")
    rolling = getattr(indexed.groupby(entity, sort=True)[column].rolling(f"{days}D"), kind)()
    order = np.argsort(frame[entity].to_numpy(), kind="stable")
    values = np.empty(len(frame))
    values[order] = rolling.to_numpy()
    return values


def customer_by_pandas(frame: pd.DataFrame) -> Floats:
    """The same by pandas."""
    moment = frame["TX_DATETIME"].dt
    columns = [
        frame["TX_AMOUNT"].to_numpy(),
        (moment.weekday >= 5).to_numpy(),
        (moment.hour <= 6).to_numpy(),
    ]
    for days in WINDOWS:
        count = rolled(frame, "CUSTOMER_ID", "TX_AMOUNT", days, "count")
        total = rolled(frame, "CUSTOMER_ID", "TX_AMOUNT", days, "sum")
        columns += [count, total / count]
    return np.column_stack(columns).astype(np.float64)


def terminal_by_pandas(frame: pd.DataFrame) -> Floats:
    """The same by pandas."""

    def windows(days: int) -> tuple[Floats, Floats]:
        counted = rolled(frame, "TERMINAL_ID", "TX_FRAUD", days, "count")
        return counted, np.rint(rolled(frame, "TERMINAL_ID", "TX_FRAUD", days, "sum"))

    recent_count, recent_fraud = windows(DELAY_DAYS)
    columns = []
    for days in WINDOWS:
        count, fraud = windows(DELAY_DAYS + days)
        count, fraud = count - recent_count, fraud - recent_fraud
        columns += [count, np.divide(fraud, count, out=np.zeros(len(count)), where=count > 0)]
    return np.column_stack(columns)


def mismatches(ours: Floats, theirs: Floats) -> int:
    """Rows with any other number; pandas' running sums of amounts drift in the last digits."""
    return int((~np.isclose(ours, theirs, rtol=1e-9, atol=1e-7)).any(axis=1).sum())


if __name__ == "__main__":
    main()
