"""`fraud import` on a real Kafka."""

import csv
import dataclasses
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka import Producer, TopicPartition

from contracts.columns import parse_transactions
from contracts.errors import BrokerError, DataError
from contracts.kafka import full_ranges, make_producer, make_reader
from contracts.messages import Label
from contracts.settings import Settings
from producer.partition import partition_of
from producer.table_import import ImportStatus, import_table
from producer.table_plan import ImportOptions, ImportReport

pytestmark = pytest.mark.integration

ROWS = 3_000
DAY_US = 86_400_000_000
START_US = 1_522_540_800_000_000  # 2018-04-01
MAPPING = """
columns:
  transaction_id: id
  event_time: at
  card_id: card
  merchant_id: shop
  amount: paid
amount: {unit: major}
label: {column: fraud, fraud_values: ["yes"], delay_days: 2}
"""


@pytest.fixture
def options(tmp_path: Path) -> ImportOptions:
    """A CSV table in disorder with every tenth row broken, and its mapping."""
    (tmp_path / "mapping.yaml").write_text(MAPPING)
    table = tmp_path / "table.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "at", "card", "shop", "paid", "fraud"])
        for number in range(ROWS):
            writer.writerow(_row(number))
    return ImportOptions(table, tmp_path / "mapping.yaml", tmp_path / "rejects.jsonl")


def _row(number: int) -> list[object]:
    minute = number * 7919 % ROWS  # visits every minute once, in disorder
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(START_US / 1e6 + minute * 60))
    paid = "lots" if number % 10 == 3 else f"{number % 90}.50"
    return [f"t{number}", moment, f"c{number % 50}", f"m{number % 9}", paid, _fraud(number)]


def _fraud(number: int) -> str:
    return "yes" if number % 100 == 0 else "no"


def silent(_: ImportStatus) -> None:
    """Progress that nobody watches."""


def read_all(settings: Settings, topic: str) -> dict[int, list[Any]]:
    """Every record of a topic by partition, with headers."""
    spans = [span for span in full_ranges(settings.kafka, topic) if span.end > span.start]
    consumer = make_reader(settings.kafka)
    found: dict[int, list[Any]] = defaultdict(list)
    consumer.assign([TopicPartition(topic, span.partition, span.start) for span in spans])
    wanted = sum(span.end - span.start for span in spans)
    deadline = time.monotonic() + 30
    while sum(map(len, found.values())) < wanted and time.monotonic() < deadline:
        for message in consumer.consume(1000, timeout=0.5):
            if message.error() is None:
                found[message.partition()].append(message)
    consumer.close()
    return dict(found)


def messages(settings: Settings, topic: str) -> Iterator[Any]:
    """The same in one line."""
    for partition in read_all(settings, topic).values():
        yield from partition


def assert_all_there_once(settings: Settings, report: ImportReport) -> None:
    """Nine rows in ten and their labels are on the topics, once, in order, where they belong."""
    seen = []
    for partition, records in read_all(settings, settings.kafka.topic).items():
        stamps = [record.timestamp()[1] for record in records]
        assert stamps == sorted(stamps)
        assert {partition_of(record.key(), 4) for record in records} == {partition}
        values = [orjson.loads(record.value()) for record in records]
        assert [value["event_time"] // 1000 for value in values] == stamps
        seen += [value["transaction_id"] for value in values]
    assert sorted(seen) == sorted(f"t{n}" for n in range(ROWS) if n % 10 != 3)
    labels = list(messages(settings, settings.kafka.labels_topic))
    ids = sorted(orjson.loads(label.value())["transaction_id"] for label in labels)
    assert ids == sorted(f"t{n}" for n in range(0, ROWS, 100))
    assert report.is_exact


def test_every_row_is_published_in_time_order_or_refused_with_its_reason(
    kafka_settings: Settings, options: ImportOptions
) -> None:
    """Rows read = published + refused, records in timestamp order, valid, keyed and stamped."""
    report = import_table(kafka_settings, options, silent)
    counts = (report.rows_read, report.rows_rejected, report.rows_published)
    assert counts == (ROWS, ROWS // 10, ROWS - ROWS // 10)
    assert_all_there_once(kafka_settings, report)
    values = [m.value() for m in messages(kafka_settings, kafka_settings.kafka.topic)]
    assert parse_transactions(values).bad == ()
    sent = [
        dict(m.headers())["sent_us"] for m in messages(kafka_settings, kafka_settings.kafka.topic)
    ]
    assert all(abs(int(stamp) / 1e6 - time.time()) < 600 for stamp in sent)
    refused = [orjson.loads(line) for line in options.rejects.read_bytes().splitlines()]
    assert [line["row"] for line in refused] == [n + 1 for n in range(ROWS) if n % 10 == 3]
    assert {line["code"] for line in refused} == {"bad_amount"}


def test_labels_come_late_and_are_stamped_with_their_own_time(
    kafka_settings: Settings, options: ImportOptions
) -> None:
    """A label's record timestamp is label_time = event_time + the mapped delay."""
    import_table(kafka_settings, options, silent)
    for message in messages(kafka_settings, kafka_settings.kafka.labels_topic):
        label = Label.model_validate_json(message.value())
        assert message.timestamp()[1] == label.label_time // 1000
        assert label.label_time - label.event_time == 2 * DAY_US
        assert message.key().decode() == label.transaction_id


def test_a_second_run_publishes_nothing(kafka_settings: Settings, options: ImportOptions) -> None:
    """What is on the topics already is recognised and not sent again."""
    import_table(kafka_settings, options, silent)
    again = import_table(kafka_settings, options, silent)
    assert (again.rows_published, again.labels_published) == (0, 0)
    assert again.rows_already_there == ROWS - ROWS // 10
    assert_all_there_once(kafka_settings, again)


def test_the_rest_follows_the_part_that_was_imported_first(
    kafka_settings: Settings, options: ImportOptions
) -> None:
    """`until` holds rows and labels back; a later run without it adds exactly those."""

    until_us = START_US + DAY_US
    first = import_table(kafka_settings, dataclasses.replace(options, until_us=until_us), silent)
    assert first.rows_held_back > 0
    assert first.labels_held_back > 0
    for topic in (kafka_settings.kafka.topic, kafka_settings.kafka.labels_topic):
        assert all(m.timestamp()[1] < until_us // 1000 for m in messages(kafka_settings, topic))
    second = import_table(kafka_settings, options, silent)
    assert second.rows_published == first.rows_held_back
    assert_all_there_once(kafka_settings, second)


def test_an_import_older_than_what_the_topic_holds_is_refused(
    kafka_settings: Settings, options: ImportOptions
) -> None:
    """Rows that would come out of order behind other records stop the import before it starts."""
    producer: Producer = make_producer(kafka_settings.kafka)
    later_ms = (START_US + 3 * DAY_US) // 1000
    producer.produce(kafka_settings.kafka.topic, key="c1", value=b"{}", timestamp=later_ms)
    producer.flush(10)
    with pytest.raises(DataError, match="out of order"):
        import_table(kafka_settings, options, silent)


def test_a_topic_that_does_not_exist_is_named(
    kafka_settings: Settings, options: ImportOptions
) -> None:
    """A missing topic is one clear error before anything is sent."""
    kafka = kafka_settings.kafka.model_copy(update={"topic": "no-such-topic"})
    with pytest.raises(BrokerError, match="no-such-topic"):
        import_table(kafka_settings.model_copy(update={"kafka": kafka}), options, silent)


def test_a_killed_import_goes_on_where_it_stopped(
    kafka_settings: Settings, options: ImportOptions, tmp_path: Path
) -> None:
    """After kill -9 in the middle the next run sends exactly what is missing."""
    settings = tmp_path / "settings.json"
    settings.write_text(kafka_settings.model_dump_json())
    command = [sys.executable, "-c", _KILLED_IMPORT, str(settings), str(options.file)]
    done = subprocess.run(
        [*command, str(options.mapping), str(options.rejects)], timeout=60, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert 0 < _published(kafka_settings) < ROWS - ROWS // 10
    report = import_table(kafka_settings, options, silent)
    assert report.rows_already_there > 0
    assert_all_there_once(kafka_settings, report)


def _published(settings: Settings) -> int:
    return sum(span.end - span.start for span in full_ranges(settings.kafka, settings.kafka.topic))


_KILLED_IMPORT = """
import os, signal, sys
from pathlib import Path
from contracts.settings import Settings
from producer.table_import import ImportStatus, import_table
from producer.table_plan import ImportOptions
settings = Settings.model_validate_json(Path(sys.argv[1]).read_text())
file, mapping, rejects = map(Path, sys.argv[2:])

def kill_in_the_middle(status: ImportStatus) -> None:
    if status.phase == "publish" and 2 * status.done > status.total:
        os.kill(os.getpid(), signal.SIGKILL)

import_table(settings, ImportOptions(file, mapping, rejects, rate=1000), kill_in_the_middle)
"""
