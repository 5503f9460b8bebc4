"""Sorted rows and labels as Kafka records, in the order of sending."""

import heapq
from collections.abc import Iterator, Sequence
from operator import attrgetter

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from contracts.columns import TRANSACTION_SCHEMA
from contracts.messages import SCHEMA_VERSION, LabelSource
from contracts.settings import KafkaSettings
from producer.records import Record
from producer.table_plan import Selection
from producer.table_resume import mark
from producer.table_spec import TableMapping
from producer.table_spool import Spool

_ALWAYS = ("schema_version", "transaction_id", "event_time", "card_id", "merchant_id")


def records(
    spool: Spool, selection: Selection, mapping: TableMapping, kafka: KafkaSettings, import_id: str
) -> Iterator[Record]:
    """Transactions and labels of the selection, merged by record timestamp."""
    events = spool.events.windows(selection.since_us, selection.until_us)
    labels = spool.labels.windows(None, selection.until_us)
    wanted = (t.filter(pc.greater_equal(t["event_time"], selection.since_us)) for t in labels)
    return heapq.merge(
        _transactions(events, _fields(mapping), kafka.topic, import_id),
        _labels(wanted, kafka.labels_topic, import_id),
        key=attrgetter("timestamp_us"),
    )


def _fields(mapping: TableMapping) -> list[str]:
    """The fields that the mapping fills, so that the bytes do not depend on the batch."""
    filled = {*_ALWAYS, "amount_minor", *mapping.columns.named(), *mapping.constants.given()}
    return [name for name in TRANSACTION_SCHEMA.names if name in filled]


def _transactions(
    tables: Iterator[pa.Table], names: Sequence[str], topic: str, import_id: str
) -> Iterator[Record]:
    for table in tables:
        columns = [table[name].to_pylist() for name in names]
        for row, values in zip(table["row"].to_pylist(), zip(*columns, strict=True), strict=True):
            value = dict(zip(names, values, strict=True))
            position = (value["event_time"], row)
            yield Record(
                topic,
                value["card_id"],
                orjson.dumps(value),
                position[0],
                position,
                is_transaction=True,
                mark=mark(import_id, position),
            )


def _labels(tables: Iterator[pa.Table], topic: str, import_id: str) -> Iterator[Record]:
    constant = {"schema_version": SCHEMA_VERSION, "source": LabelSource.IMPORT.value}
    for table in tables:
        for value in table.to_pylist():
            position = (value["label_time"], value.pop("row"))
            yield Record(
                topic,
                value["transaction_id"],
                orjson.dumps(constant | value),
                position[0],
                position,
                mark=mark(import_id, position),
            )
