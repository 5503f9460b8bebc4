"""Makes one Parquet file of the Fraud-Detection-Handbook's transactions, for `fraud import`.

The Handbook publishes them as one pickled DataFrame a day. Clone the repository
Fraud-Detection-Handbook/simulated-data-raw from GitHub, then:

    python benchmarks/make_handbook_file.py simulated-data-raw/data handbook_transactions.parquet

A pickle can run code: use a clone that you trust.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from contracts.errors import DataError, FraudError

SCHEMA = pa.schema(
    [
        pa.field("TRANSACTION_ID", pa.int32()),
        pa.field("TX_DATETIME", pa.timestamp("us")),
        pa.field("CUSTOMER_ID", pa.int32()),
        pa.field("TERMINAL_ID", pa.int32()),
        pa.field("TX_AMOUNT", pa.float64()),
        pa.field("TX_FRAUD", pa.int8()),
        pa.field("TX_FRAUD_SCENARIO", pa.int8()),
    ]
)


def make_file(folder: Path, target: Path) -> dict[str, int]:
    """Write the days below `folder`, in order, to `target`; returns days, rows and frauds.

    Raises:
        DataError: there are no days, or a day is no DataFrame with the Handbook's columns.
    """
    days = sorted(folder.glob("*.pkl"))
    if not days:
        raise DataError(
            "no .pkl files here",
            value=str(folder),
            remedy="Give the folder `data` of a clone of simulated-data-raw",
        )
    unfinished = target.with_name(f"{target.name}.part")
    rows = frauds = 0
    with pq.ParquetWriter(unfinished, SCHEMA) as writer:
        for table in _tables(days):
            writer.write_table(table)
            rows += len(table)
            frauds += int(table["TX_FRAUD"].to_numpy().sum())
    unfinished.replace(target)
    return {"days": len(days), "rows": rows, "frauds": frauds}


def _tables(days: list[Path]) -> Iterator[pa.Table]:
    for number, day in enumerate(days, start=1):
        yield _read_day(day)
        print(f"\r{number} of {len(days)} days", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


def _read_day(day: Path) -> pa.Table:
    frame = pd.read_pickle(day)
    missing = [name for name in SCHEMA.names if name not in getattr(frame, "columns", ())]
    if missing:
        raise DataError(f"{day.name} is not a day of the Handbook", value=missing)
    # The Handbook's identifiers are text in some of its versions.
    typed = {
        field.name: pa.array(pd.to_numeric(frame[field.name]), field.type)
        for field in SCHEMA
        if field.name != "TX_DATETIME"
    }
    typed["TX_DATETIME"] = pa.array(frame["TX_DATETIME"], pa.timestamp("us"))
    table = pa.table({name: typed[name] for name in SCHEMA.names}, schema=SCHEMA)
    return table.sort_by([("TX_DATETIME", "ascending"), ("TRANSACTION_ID", "ascending")])


def main() -> None:
    """Parse the two paths and tell the counts as JSON."""
    parser = argparse.ArgumentParser(description="Make one Parquet file of the Handbook's days.")
    parser.add_argument("folder", type=Path, help="the clone's folder `data`")
    parser.add_argument("target", type=Path, help="the Parquet file to write")
    arguments = parser.parse_args()
    try:
        print(json.dumps(make_file(arguments.folder, arguments.target)))
    except FraudError as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
