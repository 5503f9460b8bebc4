"""Reads a transaction table in batches: Parquet as typed, CSV as bytes; rows count from 1."""

import difflib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from contracts.errors import DataError
from producer.table_spec import CsvSpec

BATCH_ROWS = 65_536
CSV_BLOCK_BYTES = 8 * 1024 * 1024
NULL_WORDS = ["", "null", "NULL", "NA", "N/A", "None"]


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row of the table that is no transaction: its number (from 1, the header aside), and why."""

    row: int
    code: str
    message: str
    values: dict[str, object]


@dataclass(frozen=True, slots=True)
class RawBatch:
    """Rows as they stand in the file; `number[i]` is the row number of row i."""

    table: pa.Table
    number: NDArray[np.int64]
    malformed: tuple[RejectedRow, ...] = ()

    @property
    def rows(self) -> int:
        """Rows of the file that this batch accounts for."""
        return len(self.table) + len(self.malformed)

    def up_to(self, last: int) -> "RawBatch":
        """The rows numbered up to `last`."""
        keep = int(np.searchsorted(self.number, last, side="right"))
        malformed = tuple(row for row in self.malformed if row.row <= last)
        return RawBatch(self.table.slice(0, keep), self.number[:keep], malformed)


def read_batches(path: Path, columns: Sequence[str], csv: CsvSpec) -> Iterator[RawBatch]:
    """Yield the named columns of a `.csv` or `.parquet` file, in bounded memory.

    Raises:
        DataError: the file is missing or damaged, or lacks a column.
    """
    if not path.is_file():
        raise DataError("no such file", value=str(path), remedy="Give the path of a table")
    readers = {".parquet": _parquet, ".pq": _parquet, ".csv": _csv, ".txt": _csv}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(
            "unknown kind of table", value=path.name, remedy="Give a .csv or a .parquet file"
        )
    try:
        yield from reader(path, columns, csv)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path.name} cannot be read: {error}") from error


def _parquet(path: Path, columns: Sequence[str], _: CsvSpec) -> Iterator[RawBatch]:
    with pq.ParquetFile(path) as file:
        _refuse_missing(path, columns, file.schema_arrow.names)
        start = 1
        for batch in file.iter_batches(BATCH_ROWS, columns=list(columns), use_threads=False):
            number = np.arange(start, start + len(batch), dtype=np.int64)
            start += len(batch)
            yield RawBatch(pa.Table.from_batches([batch]), number)


def _csv(path: Path, columns: Sequence[str], csv: CsvSpec) -> Iterator[RawBatch]:
    _refuse_missing(path, columns, _header(path, csv))
    malformed = _Malformed()
    reader = pa_csv.open_csv(
        path,
        read_options=_read_options(csv),
        parse_options=pa_csv.ParseOptions(
            delimiter=csv.delimiter, newlines_in_values=True, invalid_row_handler=malformed.skip
        ),
        convert_options=pa_csv.ConvertOptions(
            include_columns=list(columns),
            column_types={name: pa.binary() for name in columns},
            null_values=NULL_WORDS,
            strings_can_be_null=True,
        ),
    )
    with reader:
        for batch in reader:
            number, skipped = malformed.take(len(batch))
            yield RawBatch(pa.Table.from_batches([batch]), number, skipped)
    _, skipped = malformed.take(0)
    yield RawBatch(pa.table({name: pa.array([], pa.binary()) for name in columns}), _EMPTY, skipped)


_EMPTY = np.zeros(0, dtype=np.int64)


def _read_options(csv: CsvSpec) -> pa_csv.ReadOptions:
    # Only a single-threaded parse knows the number of a malformed row.
    return pa_csv.ReadOptions(use_threads=False, block_size=CSV_BLOCK_BYTES, encoding=csv.encoding)


def _header(path: Path, csv: CsvSpec) -> list[str]:
    try:
        # What is no text further down is told row by row.
        with path.open(encoding=csv.encoding, errors="replace") as file:
            first = file.readline().rstrip("\r\n")
    except LookupError as error:
        raise DataError(
            "csv.encoding is unknown",
            value=csv.encoding,
            remedy="Use a name that Python knows, such as utf8 or latin-1",
        ) from error
    return [name.strip().strip('"') for name in first.removeprefix("\ufeff").split(csv.delimiter)]


def _refuse_missing(path: Path, wanted: Sequence[str], present: Sequence[str]) -> None:
    missing = [name for name in wanted if name not in present]
    if not missing:
        return
    close = [match for name in missing for match in difflib.get_close_matches(name, present, n=1)]
    hint = f"Did you mean {', '.join(close)}? " if close else ""
    raise DataError(
        f"{path.name} has no column {', '.join(missing)}",
        remedy=f"{hint}Its columns are: {', '.join(present)}",
    )


@dataclass(slots=True)
class _Malformed:
    """Rows with a wrong number of cells; the parser may find them ahead of the batch it returns."""

    _found: list[RejectedRow] = field(default_factory=list)
    _next: int = 1

    def skip(self, row: pa_csv.InvalidRow) -> str:
        message = f"the row has {row.actual_columns} cells; the header has {row.expected_columns}"
        values: dict[str, object] = {"text": row.text[:500]}
        # The parser counts the header as row 1.
        self._found.append(RejectedRow(row.number - 1, "wrong_cells", message, values))
        return "skip"

    def take(self, count: int) -> tuple[NDArray[np.int64], tuple[RejectedRow, ...]]:
        """The numbers of the next `count` good rows, and the malformed ones among or after them."""
        holes = np.array([row.row for row in self._found], dtype=np.int64)
        candidates = np.arange(self._next, self._next + count + len(holes), dtype=np.int64)
        number = np.setdiff1d(candidates, holes, assume_unique=True)[:count]
        end = int(number[-1]) + 1 if count else self._next + len(holes)
        passed = tuple(row for row in self._found if row.row < end)
        self._found = [row for row in self._found if row.row >= end]
        self._next = end
        return number, passed


def count_rows(path: Path) -> int | None:
    """Rows of a Parquet file; None for a CSV file, which only knows when it has been read."""
    if path.suffix.lower() not in (".parquet", ".pq") or not path.is_file():
        return None
    try:
        return int(pq.read_metadata(path).num_rows)
    except (pa.ArrowInvalid, OSError):
        return None


def content_hash(path: Path) -> str:
    """Sixteen hex digits of the file's bytes: the same file under any name."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()[:16]
