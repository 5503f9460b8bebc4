"""`fraud evaluate` on a foreign table: the committed mapping, refusals, figures as strict JSON."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from models_world import CHECKOUT, settings_with
from rich.console import Console

from cli.offline import OfflineOrder, evaluate_file, read_table, with_maturity
from contracts.errors import DataError

MAPPING = CHECKOUT / "config" / "mappings" / "ledger.yaml"
HEADER = (
    "booking_id;booked_at;card_token;merchant;mcc;amount_cents;country;entry;device;outcome;"
    "reported_at"
)
START = datetime(2026, 1, 1, tzinfo=UTC)


def ledger(path: Path, rows: int) -> Path:
    """Sixty days of bookings; a fraud in thirty spends more and is reported a day later."""
    generator = np.random.default_rng(1)
    lines = [HEADER]
    for number, second in enumerate(np.sort(generator.integers(0, 60 * 86_400, rows)).tolist()):
        is_fraud = bool(generator.random() < 1 / 30)
        at = START + timedelta(seconds=second)
        amount = int(generator.integers(500, 6000)) * (8 if is_fraud else 1)
        card, shop = generator.integers(0, 200), generator.integers(0, 40)
        told = f"fraud;{at + timedelta(days=1):%Y-%m-%d %H:%M:%S}" if is_fraud else ";"
        lines.append(
            f"b{number};{at:%Y-%m-%d %H:%M:%S};c{card};m{shop};5411;{amount};DE;POS;d{card};{told}"
        )
    path.write_text("\n".join(lines) + "\n")
    return path


def order(folder: Path, rows: int = 4000) -> OfflineOrder:
    """Evaluate logistic regression alone."""
    file = ledger(folder / "ledger.csv", rows)
    return OfflineOrder(file, MAPPING, folder / "report", ["logistic_regression"])


def test_a_table_becomes_a_report_with_figures_in_json(tmp_path: Path) -> None:
    """Every headline has its interval, the arm is named, and what the table lacks is left out."""
    lengths = {"test_days": 10, "validation_days": 12, "train_days": 30}
    settings = with_maturity(settings_with(tmp_path, **lengths), 3)
    with (tmp_path / "out.json").open("w") as out, (tmp_path / "log").open("w") as log:
        evaluate_file(settings, order(tmp_path), Console(file=log), Console(file=out))
    told = json.loads((tmp_path / "out.json").read_text(), parse_constant=pytest.fail)
    for name in ("ap", "auc", "cp100", "brier", "ece"):
        low, high = told[name]["interval"]
        assert low <= high
        # resampling only ever adds to a calibration error
        assert name == "ece" or low <= told[name]["value"] <= high
    assert told["arm"] == "logistic_regression"
    assert any("distance" in name for name in told["features_left_out"])
    kept = json.loads((tmp_path / "report" / "result.json").read_text())
    assert kept == told
    assert (tmp_path / "report" / "model_card.md").read_text().startswith("# ")


def test_refused_rows_are_told_not_dropped_in_silence(tmp_path: Path) -> None:
    """A row without an amount is refused with its number; the others are read."""
    wanted, heard = order(tmp_path, 20), []
    text = wanted.file.read_text().splitlines()
    text[3] = text[3].replace(text[3].split(";")[5], "none at all", 1)
    wanted.file.write_text("\n".join(text) + "\n")
    assert len(read_table(wanted, heard.append)) == 19
    assert "row 3" in heard[0]


def test_a_table_without_a_usable_row_says_so(tmp_path: Path) -> None:
    """An empty table is an error with what to do, not an empty report."""
    with pytest.raises(DataError, match="no row"):
        read_table(order(tmp_path, 0), lambda _: None)
