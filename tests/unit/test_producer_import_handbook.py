"""The Handbook's file: made from its daily pickles, read by its mapping."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from contracts.errors import DataError
from producer.table_mapping import read_events
from producer.table_spec import load_mapping

CHECKOUT = Path(__file__).resolve().parents[2]
DAY_US = 86_400_000_000


@pytest.fixture
def script() -> ModuleType:
    """benchmarks/make_handbook_file.py, which is no module of a package."""
    path = CHECKOUT / "benchmarks" / "make_handbook_file.py"
    spec = importlib.util.spec_from_file_location("make_handbook_file", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def days(tmp_path: Path) -> Path:
    """Two days as the Handbook publishes them: identifiers as text, the second day fraudulent."""
    for number in range(2):
        frame = pd.DataFrame(
            {
                "TRANSACTION_ID": [2 * number + 1, 2 * number],
                "TX_DATETIME": pd.to_datetime(
                    [f"2018-04-0{number + 1} 12:00", f"2018-04-0{number + 1} 00:00"]
                ),
                "CUSTOMER_ID": ["596", "4961"],
                "TERMINAL_ID": ["3156", "3412"],
                "TX_AMOUNT": [57.16, 81.51],
                "TX_TIME_SECONDS": [43200, 0],
                "TX_TIME_DAYS": [number, number],
                "TX_FRAUD": [number, 0],
                "TX_FRAUD_SCENARIO": [number, 0],
            }
        )
        frame.to_pickle(tmp_path / f"2018-04-0{number + 1}.pkl")
    return tmp_path


def test_the_days_become_one_file_in_time_order(script: ModuleType, days: Path) -> None:
    """Every row of every day arrives, sorted, with its label 7 days after the transaction."""
    target = days / "handbook.parquet"
    assert script.make_file(days, target) == {"days": 2, "rows": 4, "frauds": 1}
    mapping = load_mapping(CHECKOUT / "config" / "mappings" / "handbook.yaml")
    rows = [row for table in read_events(target, mapping) for row in table.to_pylist()]
    assert [row["transaction_id"] for row in rows] == ["0", "1", "2", "3"]
    assert [row["amount_minor"] for row in rows] == [8151, 5716, 8151, 5716]
    assert [row["card_id"] for row in rows] == ["4961", "596", "4961", "596"]
    assert [row["is_fraud"] for row in rows] == [None, None, None, True]
    assert rows[3]["label_time"] - rows[3]["event_time"] == 7 * DAY_US


def test_an_unfinished_file_is_never_left_under_the_final_name(
    script: ModuleType, days: Path
) -> None:
    """A damaged day stops the script; the target does not exist."""
    pd.DataFrame({"WRONG": [1]}).to_pickle(days / "2018-04-03.pkl")
    with pytest.raises(DataError, match=r"2018-04-03\.pkl"):
        script.make_file(days, days / "handbook.parquet")
    assert not (days / "handbook.parquet").exists()


def test_a_folder_without_days_is_one_clear_error(script: ModuleType, tmp_path: Path) -> None:
    """The wrong folder is named, with the one that is meant."""
    with pytest.raises(DataError, match="simulated-data-raw"):
        script.make_file(tmp_path, tmp_path / "handbook.parquet")
