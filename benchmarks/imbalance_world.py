"""The synthetic world's history as tables, made without servers."""

from collections import defaultdict

import numpy as np
import pyarrow as pa

from contracts.columns import SOURCE_SCHEMA, parse_transactions, with_source
from contracts.settings import KafkaSettings, Settings
from models.build import Records
from models.wire import DECISION_SCHEMA, LABELS, OUTCOME_SCHEMA, parse_records
from producer.records import Record, Writer
from producer.spec import WorldSpec
from producer.world import World

START_DAY = 20_454  # 2026-01-01


def world_records(settings: Settings, days: int) -> Records:
    """Transactions of the first days, and the labels that are known by their end."""
    world = settings.world
    spec = WorldSpec(world.seed, START_DAY, world.cards, world.merchants, world.fraud_rate)
    writer = Writer(World(spec), settings.kafka)
    by_topic: dict[str, list[Record]] = defaultdict(list)
    for number in range(days):
        for record in writer.day(number):
            by_topic[record.topic].append(record)
    return _tables(by_topic, settings.kafka)


def _tables(by_topic: dict[str, list[Record]], kafka: KafkaSettings) -> Records:
    transactions, labels = by_topic[kafka.topic], by_topic[kafka.labels_topic]
    parsed = parse_transactions([record.value for record in transactions])
    read = parse_records([record.value for record in labels], LABELS)
    columns = [*_source(labels), *(read.table[name] for name in LABELS.schema.names)]
    return Records(
        events=with_source(parsed.table, *(column.to_numpy() for column in _source(transactions))),
        labels=pa.Table.from_arrays(columns, schema=pa.schema([*SOURCE_SCHEMA, *LABELS.schema])),
        decisions=pa.schema([*SOURCE_SCHEMA, *DECISION_SCHEMA]).empty_table(),
        outcomes=pa.schema([*SOURCE_SCHEMA, *OUTCOME_SCHEMA]).empty_table(),
        topic=kafka.topic,
    )


def _source(records: list[Record]) -> tuple[pa.Array, pa.Array, pa.Array]:
    """As if all records stood in one partition."""
    stamps = np.array([record.timestamp_us for record in records], dtype=np.int64)
    count = len(records)
    return pa.array(np.zeros(count, np.int32)), pa.array(np.arange(count)), pa.array(stamps)
