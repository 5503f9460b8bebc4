"""The `fraud import` command: what it prints, writes and returns."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.application import app
from contracts.errors import DataError

TABLE = """id,at,card,shop,paid,fraud
a,2025-03-01T10:00:00,c1,m1,12.34,1
b,2025-03-02T10:00:00,c1,m1,broken,0
c,2025-03-03T10:00:00,c2,m1,5.00,0
d,2025-03-04T10:00:00,c2,m1,6.00,0
"""
MAPPING = """
columns: {transaction_id: id, event_time: at, card_id: card, merchant_id: shop, amount: paid}
amount: {unit: major}
label: {column: fraud, fraud_values: [1], delay_days: 30}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A table and its mapping."""
    (tmp_path / "table.csv").write_text(TABLE)
    (tmp_path / "mapping.yaml").write_text(MAPPING)
    return tmp_path


def dry_run(folder: Path, *options: str) -> Result:
    """Run the command without publishing."""
    files = [str(folder / "table.csv"), "--mapping", str(folder / "mapping.yaml")]
    rejects = ["--rejects", str(folder / "rejects.jsonl")]
    return CliRunner().invoke(app, ["import", *files, *rejects, "--dry-run", *options])


def test_a_dry_run_counts_every_row_and_explains_refused_ones(folder: Path) -> None:
    """Each row is read, refused or to be published; the reasons are in the rejects file."""
    counts = json.loads(dry_run(folder, "--json").stdout)
    assert (counts["rows_read"], counts["rows_rejected"]) == (4, 1)
    assert counts["rows_published"] == 0
    refused = json.loads((folder / "rejects.jsonl").read_text())
    assert (refused["row"], refused["code"]) == (2, "bad_amount")
    assert refused["values"]["paid"] == "broken"


def test_dates_select_and_hold_back(folder: Path) -> None:
    """Older rows are left out, later ones and labels not known yet are held back."""
    result = dry_run(folder, "--json", "--since", "2025-03-01", "--until", "2025-03-04")
    counts = json.loads(result.stdout)
    assert (counts["rows_before_since"], counts["rows_held_back"]) == (0, 1)
    assert counts["labels_held_back"] == 1
    counts = json.loads(dry_run(folder, "--json", "--last-days", "1.5").stdout)
    assert counts["rows_before_since"] == 1


def test_people_read_counts_in_words(folder: Path) -> None:
    """Without --json the counts come with their meaning."""
    result = dry_run(folder)
    assert "4  rows read" in result.stdout
    assert "3  to publish" in result.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--since", "yesterday"], "--since is no date"),
        (["--since", "2025-01-01", "--last-days", "3"], "both set the beginning"),
        (["--rate", "5", "--speed", "5"], "both set the pace"),
        (["--limit", "0"], "--limit must be more than 0"),
        (["--since", "2026-01-01"], "no transaction lies between"),
    ],
)
def test_contradictory_options_are_one_clear_error(
    folder: Path, options: list[str], message: str
) -> None:
    """Options that cannot be meant are refused with what to do instead."""
    result = dry_run(folder, *options)
    assert isinstance(result.exception, DataError)
    assert message in str(result.exception)


def test_an_error_is_one_line_and_exit_code_2(folder: Path) -> None:
    """At the terminal a known problem has no traceback."""
    command = [sys.executable, "-c", "from cli.main import main; main()", "import", "none.csv"]
    command += ["--mapping", str(folder / "mapping.yaml"), "--dry-run"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 2
    assert "no such file" in done.stderr
    assert "Traceback" not in done.stderr
