"""Mapping a foreign table: values, reasons, labels, and errors of the mapping itself."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from contracts.errors import DataError
from contracts.messages import Transaction
from producer.table_labels import DAY_US, drawn_delay_us
from producer.table_mapping import map_file, read_events
from producer.table_source import RejectedRow
from producer.table_spec import DelayDistribution, TableMapping, load_mapping

CHECKOUT = Path(__file__).resolve().parents[2]
COLUMNS = {"event_time": "at", "card_id": "card", "merchant_id": "shop", "amount": "paid"}


def mapping(**changes: Any) -> TableMapping:
    """A small mapping, changed."""
    return TableMapping.model_validate({"columns": COLUMNS, "amount": {"unit": "major"}} | changes)


def csv_file(folder: Path, *lines: str, header: str = "at,card,shop,paid") -> Path:
    """A CSV file."""
    path = folder / "table.csv"
    path.write_text("\n".join((header, *lines)) + "\n")
    return path


def accepted(path: Path, spec: TableMapping) -> list[dict[str, Any]]:
    """All valid rows."""
    return [row for batch in map_file(path, spec) for row in batch.table.to_pylist()]


def refused(path: Path, spec: TableMapping) -> list[RejectedRow]:
    """All refused rows."""
    return [row for batch in map_file(path, spec) for row in batch.rejected]


def us(text: str) -> int:
    """A UTC time in microseconds."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1e6)


def test_a_row_becomes_a_valid_transaction(tmp_path: Path) -> None:
    """What is mapped is converted, what is missing stays null, and the contract accepts it."""
    rows = accepted(csv_file(tmp_path, "2025-03-01T10:00:00,c1,m1,12.34"), mapping())
    fields = {name: value for name, value in rows[0].items() if name in Transaction.model_fields}
    transaction = Transaction.model_validate(fields)
    assert transaction.transaction_id == "row-1"
    assert transaction.event_time == us("2025-03-01T10:00:00")
    assert (transaction.amount_minor, transaction.country) == (1234, None)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("2025-03-01,c1,m1,", "missing_amount"),
        ("2025-03-01,c1,m1,NaN", "bad_amount"),
        ("2025-03-01,c1,m1,inf", "bad_amount"),
        ("2025-03-01,c1,m1,12 Euro", "bad_amount"),
        ("2025-03-01,c1,m1,-1.00", "negative_amount"),
        ("2025-03-01,c1,m1,99999999999", "invalid_amount_minor"),
        ("yesterday,c1,m1,1", "bad_event_time"),
        (",c1,m1,1", "missing_event_time"),
        ("1999-12-31,c1,m1,1", "invalid_event_time"),
        ("2025-03-01,,m1,1", "missing_card_id"),
        (f"2025-03-01,{'c' * 65},m1,1", "invalid_card_id"),
        ("2025-03-01,c1,  ,1", "missing_merchant_id"),
        ("2025-03-01,c1,m1", "wrong_cells"),
        ("2025-03-01,c1,m1,1,2", "wrong_cells"),
    ],
)
def test_a_bad_row_is_refused_with_its_reason(tmp_path: Path, line: str, code: str) -> None:
    """Each defect has a code, and the rows around it are not touched."""
    good = "2025-03-01T10:00:00,c1,m1,1"
    path = csv_file(tmp_path, good, line, good)
    bad = refused(path, mapping())
    assert [(row.row, row.code) for row in bad] == [(2, code)]
    assert bad[0].values
    assert [row["row"] for row in accepted(path, mapping())] == [1, 3]


def test_every_row_is_counted_once(tmp_path: Path) -> None:
    """Rows read = accepted + refused, malformed ones included, with the numbers of the file."""
    lines = [f"2025-03-01,c1,m1,{'x' if n % 7 == 0 else n}" for n in range(500)]
    lines[100] = "too,few"
    lines[499] = "far,too,many,cells,here"
    path = csv_file(tmp_path, *lines)
    assert sum(batch.rows for batch in map_file(path, mapping())) == 500
    numbers = [row["row"] for row in accepted(path, mapping())]
    numbers += [row.row for row in refused(path, mapping())]
    assert sorted(numbers) == list(range(1, 501))
    assert [row.row for row in refused(path, mapping()) if row.code == "wrong_cells"] == [101, 500]


def test_a_limit_reads_the_first_rows_alone(tmp_path: Path) -> None:
    """Malformed rows count towards the limit like any other."""
    path = csv_file(tmp_path, "too,few", *(f"2025-03-01,c1,m1,{n}" for n in range(10)))
    batches = list(map_file(path, mapping(), limit=4))
    assert (sum(b.rows for b in batches), sum(len(b.table) for b in batches)) == (4, 3)


@pytest.mark.parametrize(
    ("spec", "text", "expected"),
    [
        ({"zone": "UTC"}, "2025-03-01 10:00:00.123456", "2025-03-01T10:00:00.123456"),
        ({"zone": "Europe/Paris"}, "2025-07-01T10:00:00", "2025-07-01T08:00:00"),
        ({"zone": "Europe/Paris"}, "2025-07-01T10:00:00+00:00", "2025-07-01T10:00:00"),
        ({"format": "%d/%m/%Y %H:%M"}, "01/03/2025 10:00", "2025-03-01T10:00:00"),
        ({"unit": "seconds"}, "1740823200", "2025-03-01T10:00:00"),
        ({"unit": "milliseconds"}, "1740823200500", "2025-03-01T10:00:00.500000"),
        ({"unit": "seconds", "origin": "2025-03-01"}, "36000", "2025-03-01T10:00:00"),
    ],
)
def test_times_are_read_as_the_mapping_says(
    tmp_path: Path, spec: dict[str, str], text: str, expected: str
) -> None:
    """Zones, formats and counted times all end as UTC microseconds."""
    rows = accepted(csv_file(tmp_path, f"{text},c1,m1,1"), mapping(time=spec))
    assert rows[0]["event_time"] == us(expected)


def test_the_hour_that_comes_twice_is_the_first_one(tmp_path: Path) -> None:
    """02:30 on the night when clocks go back is summer time."""
    path = csv_file(tmp_path, "2025-10-26T02:30:00,c1,m1,1")
    rows = accepted(path, mapping(time={"zone": "Europe/Paris"}))
    assert rows[0]["event_time"] == us("2025-10-26T00:30:00")


@pytest.mark.parametrize(
    ("unit", "text", "expected"),
    [("major", "0.29", 29), ("major", "1.006", 101), ("major", "-3.5", -350), ("minor", "7", 7)],
)
def test_money_is_exact_minor_units(tmp_path: Path, unit: str, text: str, expected: int) -> None:
    """Major units are scaled and rounded, minor ones kept; a negative one may be a refund."""
    spec = mapping(amount={"unit": unit, "negative": "refund"})
    rows = accepted(csv_file(tmp_path, f"2025-03-01,c1,m1,{text}"), spec)
    assert rows[0]["amount_minor"] == expected


def test_a_fraction_of_a_minor_unit_betrays_the_wrong_unit(tmp_path: Path) -> None:
    """12.34 in a column said to hold cents is refused, not rounded."""
    path = csv_file(tmp_path, "2025-03-01,c1,m1,12.34")
    assert [row.code for row in refused(path, mapping(amount={"unit": "minor"}))] == ["bad_amount"]


def test_values_are_translated_and_constants_filled_in(tmp_path: Path) -> None:
    """A table's own words become ours; a short category code gets its zeros back."""
    columns = COLUMNS | {"channel": "how", "merchant_category": "mcc"}
    spec = mapping(
        columns=columns,
        values={"channel": {"POS": "chip", "WEB": "online"}},
        constants={"currency": "EUR", "utc_offset_minutes": 60},
    )
    header = "at,card,shop,paid,how,mcc"
    path = csv_file(tmp_path, "2025-03-01,c,m,1,WEB,742", "2025-03-01,c,m,1,FAX,1", header=header)
    row = accepted(path, spec)[0]
    assert (row["channel"], row["merchant_category"]) == ("online", "0742")
    assert (row["currency"], row["utc_offset_minutes"]) == ("EUR", 60)
    assert [bad.code for bad in refused(path, spec)] == ["invalid_channel"]


def test_whole_floats_are_identifiers_without_a_point(tmp_path: Path) -> None:
    """Identifiers that pandas made floats of keep their digits, beside a broken one too."""
    table = pa.table(
        {
            "at": [us("2025-03-01T00:00:00")] * 3,
            "card": [1.0, 2.5, None],
            "shop": [7, 8, 9],
            "paid": [1.0, 1.0, 1.0],
        }
    )
    path = tmp_path / "table.parquet"
    pq.write_table(table, path)
    spec = mapping(time={"unit": "microseconds"})
    assert [row["card_id"] for row in accepted(path, spec)] == ["1", "2.5"]
    assert [row.code for row in refused(path, spec)] == ["missing_card_id"]


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    """Another encoding than the mapping's shows as a refused row, never as a wrong letter."""
    path = tmp_path / "table.csv"
    path.write_bytes("at,card,shop,paid\n2025-03-01,c1,Café,1\n".encode("latin-1"))
    assert [row.code for row in refused(path, mapping())] == ["invalid_merchant_id"]
    spec = mapping(csv={"encoding": "latin-1"})
    assert [row["merchant_id"] for row in accepted(path, spec)] == ["Café"]


LABEL = {"column": "fraud", "fraud_values": [1]}
LABELLED = "at,card,shop,paid,fraud,known"


def test_frauds_get_a_label_and_the_others_none(tmp_path: Path) -> None:
    """By default only frauds are labelled, as a card network would."""
    path = csv_file(tmp_path, "2025-03-01,c,m,1,1,", "2025-03-01,c,m,1,0,", header=LABELLED)
    rows = accepted(path, mapping(label=LABEL | {"delay_days": 3}))
    assert [row["is_fraud"] for row in rows] == [True, None]
    assert rows[0]["label_time"] - rows[0]["event_time"] == 3 * DAY_US
    rows = accepted(path, mapping(label=LABEL | {"delay_days": 3, "publish": "all"}))
    assert [row["is_fraud"] for row in rows] == [True, False]


def test_a_label_has_its_own_time_when_the_table_has_one(tmp_path: Path) -> None:
    """A label's column of times is used; one before its transaction is refused."""
    path = csv_file(
        tmp_path,
        "2025-03-01,c,m,1,1,2025-03-04",
        "2025-03-01,c,m,1,1,2025-02-01",
        "2025-03-01,c,m,1,1,soon",
        "2025-03-01,c,m,1,0,",
        header=LABELLED,
    )
    spec = mapping(label=LABEL | {"time_column": "known"})
    rows = accepted(path, spec)
    assert [row["label_time"] for row in rows] == [us("2025-03-04T00:00:00"), None]
    assert [row.code for row in refused(path, spec)] == ["label_before_event", "bad_label_time"]


def test_drawn_delays_depend_on_the_id_alone_and_follow_the_distribution() -> None:
    """The same id gets the same delay in any run; half of them are below the median."""
    spec = DelayDistribution(median_days=4, p95_days=10)
    delays = sorted(drawn_delay_us(f"t{n}", spec) / DAY_US for n in range(2_000))
    assert drawn_delay_us("t7", spec) == drawn_delay_us("t7", spec)
    assert 3.6 < delays[1_000] < 4.4
    assert 9 < delays[1_900] < 11


def test_events_for_offline_use_come_in_time_order(tmp_path: Path) -> None:
    """`read_events` gives what an import would publish: sorted, numbered, with labels beside."""
    lines = [f"2025-03-{day:02d},c,m,{day}" for day in (3, 1, 2)]
    tables = list(read_events(csv_file(tmp_path, *lines), mapping()))
    table = pa.concat_tables(tables)
    assert table["amount_minor"].to_pylist() == [100, 200, 300]
    assert table["offset"].to_pylist() == [0, 1, 2]
    assert table["timestamp_us"].to_pylist() == table["event_time"].to_pylist()


def test_a_missing_column_is_named_with_the_likely_one(tmp_path: Path) -> None:
    """The error shows what the file has instead."""
    path = csv_file(tmp_path, "x", header="at,card,shop,payed")
    with pytest.raises(DataError, match=r"no column paid.*Did you mean payed\?.*at, card, shop"):
        list(map_file(path, mapping()))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.csv", None, "no such file"),
        ("table.xlsx", b"x", "unknown kind"),
        ("table.parquet", b"no parquet", "cannot be read"),
        ("empty.csv", b"", "no column"),
    ],
)
def test_an_unreadable_file_is_one_clear_error(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    """Missing, unknown, damaged and empty files are told apart."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(map_file(tmp_path / name, mapping()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"amount": {"unit": "euros"}}, "amount.unit.*'major' or 'minor'"),
        ({"time": {"zone": "Europe/Pariss"}}, "did you mean Europe/Paris"),
        ({"columns": COLUMNS | {"merchant": "x"}}, r"columns\.merchant.*did you mean merchant_id"),
        ({"columns": {"event_time": "at"}}, r"columns\.card_id: Field required"),
        ({"label": LABEL}, "one of time_column, delay_days or delay_distribution"),
        ({"constants": {"currency": "EUR"}, "columns": COLUMNS | {"currency": "c"}}, "a constant"),
        ({"values": {"amount": {"a": "b"}}}, "can translate"),
    ],
)
def test_a_wrong_mapping_says_what_and_where(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    """Unknown keys, units and zones are named, with what was probably meant."""
    path = tmp_path / "mapping.yaml"
    path.write_text(yaml.safe_dump({"columns": COLUMNS, "amount": {"unit": "major"}} | change))
    with pytest.raises(DataError, match=message):
        load_mapping(path)


def test_every_committed_mapping_is_valid() -> None:
    """The files below config/mappings load."""
    paths = sorted((CHECKOUT / "config" / "mappings").glob("*.yaml"))
    assert [load_mapping(path).columns.amount for path in paths]


def test_the_examples_of_the_documentation_are_valid() -> None:
    """Each mapping shown in docs/import.md is accepted as it stands."""
    text = (CHECKOUT / "docs" / "import.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        assert TableMapping.model_validate(yaml.safe_load(block))
