"""Transactions with their truth, to measure how hard fraud is to see in them."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from contracts.columns import EVENT_SCHEMA, TRANSACTION_SCHEMA, parse_transactions, with_source
from contracts.label_records import label_records, labels_beside
from contracts.settings import KafkaSettings
from contracts.wire import LABELS, parse_records
from producer.day import LEGITIMATE
from producer.disputes import in_label_order
from producer.records import Writer
from producer.spec import DAY_US, HOUR_US
from producer.table_mapping import read_events
from producer.table_spec import TableMapping
from producer.world import World

_TRAIN_SHARE = 2 / 3
_FOREVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows in time order. `events` has EVENT_SCHEMA; `train` marks the first two thirds of time.

    `truth` is what happened; `campaign` names each fraud's campaign, "" elsewhere. `labels` are
    what became known and when: LABEL_RECORD_SCHEMA, in the order of label time.
    """

    name: str
    events: pa.Table
    truth: NDArray[np.bool_]
    campaign: NDArray[np.str_]
    labels: pa.Table

    @property
    def train(self) -> NDArray[np.bool_]:
        """The rows before the cut."""
        times = self.events["event_time"].to_numpy()
        before: NDArray[np.bool_] = times < _cut_us(times)
        return before

    @property
    def label(self) -> NDArray[np.bool_]:
        """The rows that are called fraud in the end."""
        return self._labelled(_FOREVER)

    @property
    def known(self) -> NDArray[np.bool_]:
        """The rows that were called fraud when the training part ended."""
        return self._labelled(_cut_us(self.events["event_time"].to_numpy()))

    @property
    def mature(self) -> NDArray[np.bool_]:
        """The rows before the cut that were old enough there for 95 in 100 labels to have come.

        Learning leaves younger ones out, frauds and others alike, as the platform's training does.
        """
        times = self.events["event_time"].to_numpy()
        old: NDArray[np.bool_] = times < _cut_us(times) - self.maturity_hours * HOUR_US
        return old

    @property
    def maturity_hours(self) -> float:
        """Within this time 95 in 100 fraud labels come."""
        return float(np.quantile(self.delay_hours, 0.95))

    @property
    def delay_hours(self) -> NDArray[np.float64]:
        """From each fraud to its label; 0 where labels come with the event."""
        frauds = self.labels.filter(self.labels["is_fraud"])
        delay_us = frauds["label_time"].to_numpy() - frauds["event_time"].to_numpy()
        hours: NDArray[np.float64] = delay_us / HOUR_US
        return hours

    def _labelled(self, until_us: int) -> NDArray[np.bool_]:
        """Which rows are called fraud by their newest label up to a time."""
        seen = self.labels.filter(pc.less_equal(self.labels["label_time"], until_us))
        ids = self.events["transaction_id"].combine_chunks()
        labelled = np.zeros(len(self.events), dtype=np.bool_)
        rows = pc.index_in(seen["transaction_id"], value_set=ids).to_numpy()
        labelled[rows] = seen["is_fraud"].to_numpy()
        return labelled


def world_sample(name: str, world: World, days: int, kafka: KafkaSettings) -> Sample:
    """The first `days` of a synthetic world, as a reader of its topics sees them."""
    writer = Writer(world, kafka)
    made = [world.day(number) for number in range(days)]
    values = [record.value for day in made for record in writer.transactions(day)]
    labels = in_label_order([world.labels_about(number) for number in range(days)])
    published = [record.value for record in writer.labels(labels)]
    numbers = np.concatenate([day.purchases.campaign for day in made])
    names = np.array(["", *(campaign.name for campaign in world.campaigns)])
    return Sample(
        name=name,
        events=in_one_partition(parse_transactions(values).table),
        truth=numbers != LEGITIMATE,
        campaign=names[numbers + 1],
        labels=label_records(parse_records(published, LABELS).table),
    )


def handbook_sample(path: Path, mapping: TableMapping, days: int) -> Sample:
    """The last `days` of the Fraud-Detection-Handbook's file, labels as late as its mapping says.

    Rows and labels are those that `fraud import` with this mapping would publish.
    """
    table = pq.read_table(path)
    times = table["TX_DATETIME"].cast(pa.timestamp("us")).cast(pa.int64()).to_numpy()
    table = table.filter(pa.array(times >= times.max() - days * DAY_US))
    with tempfile.TemporaryDirectory(prefix="fraud-handbook-") as folder:
        pq.write_table(table, Path(folder) / "part.parquet")
        read = pa.concat_tables(read_events(Path(folder) / "part.parquet", mapping))
    labelled = read.combine_chunks()
    ids = table["TRANSACTION_ID"].cast(pa.string()).combine_chunks()
    rows = pc.index_in(labelled["transaction_id"], value_set=ids).to_numpy()
    scenario = table["TX_FRAUD_SCENARIO"].to_numpy()[rows]
    names = np.array(["", "large_amount", "terminal", "customer"])
    events, labels = labelled.select(EVENT_SCHEMA.names), labels_beside(labelled)
    return Sample("handbook", events, scenario > 0, names[scenario], labels)


def tutorial_sample(rows: int, seed: int) -> Sample:
    """Our own re-creation of what tutorials generate: uniform amounts, fraud by the toss of a coin.

    Whatever is learned from it is noise, since no field and no history has to do with fraud. The
    label is inside the event, so it is known in the moment of the event, and never wrong.
    """
    rng = np.random.default_rng(seed)
    times = 1_700_000_000_000_000 + np.sort(rng.integers(0, 90 * DAY_US, rows))
    amount = rng.integers(100, 500_000, rows)
    fraud = rng.random(rows) < 0.005
    transactions = _bare(
        times,
        amount,
        pa.array([f"tutorial-{row}" for row in range(rows)]),
        pa.array(rng.integers(0, 1000, rows)).cast(pa.string()),
        pa.array(rng.integers(0, 200, rows)).cast(pa.string()),
    )
    events = in_one_partition(transactions)
    beside = {"is_fraud": pa.array(fraud), "label_time": pa.array(times)}
    for column, values in beside.items():
        events = events.append_column(column, values)
    labels = labels_beside(events)
    events = events.select(EVENT_SCHEMA.names)
    return Sample("tutorial", events, fraud, np.where(fraud, "random", ""), labels)


def in_one_partition(transactions: pa.Table) -> pa.Table:
    """EVENT_SCHEMA with offsets in the order of rows and record time equal to event time."""
    size = len(transactions)
    times = transactions["event_time"].to_numpy()
    return with_source(transactions, np.zeros(size, np.int32), np.arange(size), times)


def _bare(
    times: NDArray[np.int64],
    amount: NDArray[np.int64],
    ids: pa.Array,
    cards: pa.Array,
    merchants: pa.Array,
) -> pa.Table:
    """TRANSACTION_SCHEMA with only the fields that every source has."""
    given = {
        "schema_version": pa.array(np.ones(len(times), np.int64)),
        "transaction_id": ids,
        "event_time": pa.array(times),
        "card_id": cards,
        "merchant_id": merchants,
        "amount_minor": pa.array(amount),
    }
    columns = [
        given.get(field.name, pa.nulls(len(times), field.type)) for field in TRANSACTION_SCHEMA
    ]
    return pa.Table.from_arrays(columns, schema=TRANSACTION_SCHEMA)


def _cut_us(times: NDArray[np.int64]) -> int:
    return int(times[0] + (times[-1] - times[0]) * _TRAIN_SHARE)
