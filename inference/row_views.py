"""Rows of a batch as those read them who ask for a few: rules by column, a policy by row."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from contracts.columns import TRANSACTION_SCHEMA
from contracts.transaction_rows import TRANSACTION_ID, TransactionRows


class RuleColumns(Mapping[str, pa.Array]):
    """The columns that rules may read, made when they are."""

    def __init__(self, rows: TransactionRows) -> None:
        self._rows = rows

    def __getitem__(self, name: str) -> pa.Array:
        return self._rows.array(name)

    def __iter__(self) -> Iterator[str]:
        return iter(TRANSACTION_SCHEMA.names)

    def __len__(self) -> int:
        return len(TRANSACTION_SCHEMA.names)

    def __contains__(self, name: object) -> bool:
        return name in TRANSACTION_SCHEMA.names


class Names(Sequence[str]):
    """The transactions' ids, read one by one: few are asked for."""

    def __init__(self, rows: TransactionRows) -> None:
        self._rows = rows

    def __getitem__(self, row: Any) -> Any:
        return self._rows.word(row, TRANSACTION_ID)

    def __len__(self) -> int:
        return len(self._rows)
