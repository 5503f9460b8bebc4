"""First half of an import: the file mapped, refused rows written out, the rest sorted on disk."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from contracts.errors import DataError
from producer.table_mapping import map_file
from producer.table_order import SortedRuns
from producer.table_source import RejectedRow
from producer.table_spec import TableMapping

LABEL_COLUMNS = (
    "row",
    "transaction_id",
    "card_id",
    "merchant_id",
    "event_time",
    "is_fraud",
    "label_time",
)


@dataclass(slots=True)
class Spool:
    """Valid rows by event time, labels by label time, and the counts of what was read."""

    events: SortedRuns
    labels: SortedRuns
    rows_read: int = 0
    rows_rejected: int = 0
    first_reason: str = ""

    def add(self, table: pa.Table) -> None:
        """Take mapped rows in any order."""
        self.events.add(table.drop_columns(["is_fraud", "label_time"]))
        labelled = table.filter(pc.is_valid(table["is_fraud"]))
        self.labels.add(labelled.select(list(LABEL_COLUMNS)))


def fill_spool(
    folder: Path,
    file: Path,
    mapping: TableMapping,
    rejects: Path,
    *,
    limit: int | None,
    on_rows: Callable[[int], None],
) -> Spool:
    """Read, map and sort a whole file; `on_rows` is told the number of rows read so far.

    Raises:
        DataError: the file cannot be read, no row of it is a transaction, or the disk is full.
    """
    spool = Spool(SortedRuns(folder, "event_time"), SortedRuns(folder, "label_time"))
    # Beside the rejects of an earlier run, which stay until this table has been read.
    partial = rejects.with_name(f"{rejects.name}.partial")
    with _as_data_error(folder), ExitStack() as cleanup:
        cleanup.callback(partial.unlink, missing_ok=True)
        refused = cleanup.enter_context(partial.open("wb"))
        for batch in map_file(file, mapping, limit=limit):
            spool.add(batch.table)
            spool.rows_read += batch.rows
            spool.rows_rejected += len(batch.rejected)
            _write(refused, batch.rejected)
            if batch.rejected and not spool.first_reason:
                spool.first_reason = batch.rejected[0].message
            on_rows(spool.rows_read)
        refused.close()
        partial.replace(rejects)
        _refuse_empty(spool, file, rejects)
    return spool


def _write(refused: IO[bytes], rows: tuple[RejectedRow, ...]) -> None:
    for row in rows:
        line = {"row": row.row, "code": row.code, "reason": row.message, "values": row.values}
        refused.write(orjson.dumps(line) + b"\n")


def _refuse_empty(spool: Spool, file: Path, rejects: Path) -> None:
    if spool.rows_read > spool.rows_rejected:
        return
    if spool.rows_read == 0:
        raise DataError("the table has no rows", value=str(file))
    raise DataError(
        f"none of the {spool.rows_read} rows of {file.name} is a transaction; the first: "
        f"{spool.first_reason}",
        remedy=f"Correct the mapping; {rejects} holds the reason for each row",
    )


@contextmanager
def _as_data_error(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"the import could not write: {error.strerror or error}",
            value=str(error.filename or folder),
            remedy="Free some space, about the size of the table, or set TMPDIR to another disk",
        ) from error
