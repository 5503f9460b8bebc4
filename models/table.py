"""The training table: a row per transaction of a fold, features beside what was known of it."""

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from contracts.errors import ObjectStoreError
from models.folds import Fold, Folds
from models.objects import Objects, key_of, read_object
from models.snapshot_files import parquet_bytes

FEATURE_PREFIX = "f:"
MAX_UNREADABLE_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class TableSource:
    """Where a table's history came from, and the key that the table is kept under."""

    key: str
    manifest_uri: str
    content_hash: str
    ranges: dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class TableDescription:
    """Where a table came from and what is in it; stored as JSON beside the rows."""

    key: str
    manifest_uri: str
    content_hash: str
    ranges: dict[str, dict[str, int]]
    feature_hash: str
    feature_names: tuple[str, ...]
    categorical: tuple[str, ...]
    folds: Folds
    counts: dict[str, dict[str, int]]
    notes: dict[str, Any]
    table_hash: str

    def to_json(self) -> bytes:
        """Canonical bytes."""
        return json.dumps(asdict(self), sort_keys=True, indent=1).encode()


def describe(
    source: TableSource,
    feature_hash: str,
    feature_names: tuple[str, ...],
    categorical: tuple[str, ...],
    folds: Folds,
    counts: dict[str, dict[str, int]],
    notes: dict[str, Any],
) -> TableDescription:
    """A description of a table that has not been stored yet."""
    given = {name: getattr(source, name) for name in source.__slots__}
    return TableDescription(
        **given,
        feature_hash=feature_hash,
        feature_names=feature_names,
        categorical=categorical,
        folds=folds,
        counts=counts,
        notes=notes,
        table_hash="",
    )


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of a table, aligned arrays; `target` is 0 or 1, `weight` 1/propensity.

    `is_evaluated` marks rows that may judge a model; `is_compromised` those whose card was already
    known to be stolen.
    """

    values: NDArray[np.float64]
    target: NDArray[np.int8]
    weight: NDArray[np.float64]
    event_time: NDArray[np.int64]
    amount_minor: NDArray[np.int64]
    card: NDArray[np.int64]
    transaction_id: NDArray[np.object_]
    category: NDArray[np.object_]
    country: NDArray[np.object_]
    is_evaluated: NDArray[np.bool_]
    is_compromised: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.target)

    def where(self, mask: NDArray[np.bool_]) -> "Rows":
        """The rows that `mask` marks."""
        return Rows(*(getattr(self, name)[mask] for name in self.__slots__))

    def judging(self) -> "Rows":
        """Those that may judge a model, without cards already known to be stolen."""
        return self.where(self.is_evaluated & ~self.is_compromised)


@dataclass(frozen=True, slots=True)
class TrainingTable:
    """A description and the rows of all folds in (event time, source) order."""

    description: TableDescription
    rows: Rows
    fold: NDArray[np.int8]

    def of(self, fold: Fold) -> Rows:
        """One fold's rows."""
        return self.rows.where(self.fold == fold)


_META: dict[str, Callable[[Rows], Any]] = {
    "target": lambda rows: rows.target,
    "weight": lambda rows: rows.weight,
    "event_time": lambda rows: rows.event_time,
    "amount_minor": lambda rows: rows.amount_minor,
    "card": lambda rows: rows.card,
    "transaction_id": lambda rows: pa.array(rows.transaction_id, pa.string()),
    "category": lambda rows: pa.array(rows.category, pa.string()),
    "country": lambda rows: pa.array(rows.country, pa.string()),
    "is_evaluated": lambda rows: rows.is_evaluated,
    "is_compromised": lambda rows: rows.is_compromised,
}


def table_bytes(rows: Rows, fold: NDArray[np.int8], names: tuple[str, ...]) -> bytes:
    """The rows as Parquet; equal rows give equal bytes."""
    columns: dict[str, Any] = {name: column(rows) for name, column in _META.items()}
    columns["fold"] = fold
    for position, name in enumerate(names):
        columns[FEATURE_PREFIX + name] = rows.values[:, position]
    return parquet_bytes(pa.table(columns))


def store_table(objects: Objects, table: TrainingTable) -> str:
    """Write rows, then their description: a table without the latter does not exist."""
    description = table.description
    data = table_bytes(table.rows, table.fold, description.feature_names)
    objects.put(f"{description.key}/rows.parquet", data)
    described = TableDescription(
        **(
            {name: getattr(description, name) for name in description.__slots__}
            | {"table_hash": hashlib.sha256(data).hexdigest()}
        )
    )
    objects.put(f"{description.key}/table.json", described.to_json())
    return objects.uri(f"{description.key}/table.json")


def load_description(objects: Objects, uri: str) -> TableDescription:
    """The description alone: small and cheap.

    Raises:
        ObjectStoreError: it is missing or damaged.
    """
    try:
        tree = json.loads(read_object(objects, uri))
        tree["folds"] = Folds(**tree["folds"])
        tree["feature_names"] = tuple(tree["feature_names"])
        tree["categorical"] = tuple(tree["categorical"])
        return TableDescription(**tree)
    except (ValueError, KeyError, TypeError) as error:
        raise ObjectStoreError(
            f"the training table's description is damaged: {error}", value=uri
        ) from error


def load_table(objects: Objects, uri: str) -> TrainingTable:
    """A stored table.

    Raises:
        ObjectStoreError: it is missing, or its bytes are not those that were written.
    """
    description = load_description(objects, uri)
    data = objects.get(f"{key_of(objects, uri).removesuffix('/table.json')}/rows.parquet")
    if data is None or hashlib.sha256(data).hexdigest() != description.table_hash:
        raise ObjectStoreError(
            "the training table is missing or damaged", value=uri, remedy="Build it again"
        )
    return _from_arrow(description, pq.read_table(io.BytesIO(data)))


def _from_arrow(description: TableDescription, table: pa.Table) -> TrainingTable:
    values = np.empty((len(table), len(description.feature_names)), dtype=np.float64)
    for position, name in enumerate(description.feature_names):
        values[:, position] = table[FEATURE_PREFIX + name].to_numpy()
    meta = {name: table[name].to_numpy() for name in _META}
    return TrainingTable(description, Rows(values=values, **meta), table["fold"].to_numpy())
