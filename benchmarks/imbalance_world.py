"""Histories as tables, made without servers: our synthetic world's, and the Handbook's."""

from collections import defaultdict
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contracts.columns import SOURCE_SCHEMA, parse_transactions, with_source
from contracts.label_records import LABEL_RECORD_SCHEMA
from contracts.settings import KafkaSettings, Settings
from contracts.wire import DECISION_SCHEMA, LABELS, OUTCOME_SCHEMA, parse_records
from models.build import Records
from models.offline import offline_records
from producer.records import Record, Writer
from producer.spec import WorldSpec
from producer.table_mapping import read_events
from producer.table_spec import load_mapping
from producer.world import World

START_DAY = 20_454  # 2026-01-01
HANDBOOK_FROM = datetime(2018, 7, 1)  # noqa: DTZ001  as the file has it
MAPPING = Path(__file__).resolve().parent.parent / "config" / "mappings" / "handbook.yaml"


def world_topics(settings: Settings, days: int) -> dict[str, list[Record]]:
    """Every record of the first days by topic, in the order of publication."""
    world = settings.world
    spec = WorldSpec(world.seed, START_DAY, world.cards, world.merchants, world.fraud_rate)
    writer = Writer(World(spec), settings.kafka)
    by_topic: dict[str, list[Record]] = defaultdict(list)
    for number in range(days):
        for record in writer.day(number):
            by_topic[record.topic].append(record)
    return by_topic


def world_records(settings: Settings, days: int) -> Records:
    """Transactions of the first days, and the labels that are known by their end."""
    return _tables(world_topics(settings, days), settings.kafka)


def handbook_records(settings: Settings, path: Path) -> Records:
    """The Handbook's last three months, with labels a week late."""
    with TemporaryDirectory(prefix="fraud-handbook-") as scratch:
        part = Path(scratch) / "part.parquet"
        pq.write_table(pq.read_table(path, filters=pc.field("TX_DATETIME") >= HANDBOOK_FROM), part)
        events = pa.concat_tables(list(read_events(part, load_mapping(MAPPING))))
    return offline_records(events.combine_chunks(), settings.kafka.topic)


def _tables(by_topic: dict[str, list[Record]], kafka: KafkaSettings) -> Records:
    transactions, labels = by_topic[kafka.topic], by_topic[kafka.labels_topic]
    parsed = parse_transactions([record.value for record in transactions])
    read = parse_records([record.value for record in labels], LABELS)
    columns = [*_source(labels), *(read.table[name] for name in LABELS.schema.names)]
    return Records(
        events=with_source(parsed.table, *(column.to_numpy() for column in _source(transactions))),
        labels=pa.Table.from_arrays(columns, schema=LABEL_RECORD_SCHEMA),
        decisions=pa.schema([*SOURCE_SCHEMA, *DECISION_SCHEMA]).empty_table(),
        outcomes=pa.schema([*SOURCE_SCHEMA, *OUTCOME_SCHEMA]).empty_table(),
        topic=kafka.topic,
    )


def _source(records: list[Record]) -> tuple[pa.Array, pa.Array, pa.Array]:
    """As if all records stood in one partition."""
    stamps = np.array([record.timestamp_us for record in records], dtype=np.int64)
    count = len(records)
    return pa.array(np.zeros(count, np.int32)), pa.array(np.arange(count)), pa.array(stamps)
