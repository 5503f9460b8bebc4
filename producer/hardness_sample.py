"""Transactions with their truth, to measure how hard fraud is to see in them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from contracts.columns import TRANSACTION_SCHEMA, parse_transactions, with_source
from contracts.settings import KafkaSettings
from producer.day import LEGITIMATE
from producer.disputes import Labels, in_label_order
from producer.records import Writer
from producer.spec import DAY_US, HOUR_US
from producer.world import World

_TRAIN_SHARE = 2 / 3


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows in time order. `events` has EVENT_SCHEMA; `train` marks the first two thirds of time.

    `truth` is what happened, `label` what is known in the end, `known` what was known when the
    training part ended; `campaign` names each fraud's campaign, "" elsewhere.
    """

    name: str
    events: pa.Table
    truth: NDArray[np.bool_]
    label: NDArray[np.bool_]
    known: NDArray[np.bool_]
    campaign: NDArray[np.str_]
    delay_hours: NDArray[np.float64]

    @property
    def train(self) -> NDArray[np.bool_]:
        """The rows before the cut."""
        times = self.events["event_time"].to_numpy()
        before: NDArray[np.bool_] = times < _cut_us(times)
        return before


def world_sample(name: str, world: World, days: int, kafka: KafkaSettings) -> Sample:
    """The first `days` of a synthetic world, as a reader of its topics sees them."""
    writer = Writer(world, kafka)
    made = [world.day(number) for number in range(days)]
    values = [record.value for day in made for record in writer.transactions(day)]
    events = in_one_partition(parse_transactions(values).table)
    numbers = np.concatenate([day.purchases.campaign for day in made])
    names = np.array(["", *(campaign.name for campaign in world.campaigns)])
    starts = np.concatenate([[0], np.cumsum([len(day) for day in made])])
    labels = in_label_order([world.labels_about(number) for number in range(days)])
    times = events["event_time"].to_numpy()
    return Sample(
        name=name,
        events=events,
        truth=numbers != LEGITIMATE,
        label=_labelled(labels, starts, np.iinfo(np.int64).max),
        known=_labelled(labels, starts, _cut_us(times)),
        campaign=names[numbers + 1],
        delay_hours=(labels.label_us - labels.event_us)[labels.is_fraud] / HOUR_US,
    )


def _labelled(labels: Labels, starts: NDArray[np.int64], until_us: int) -> NDArray[np.bool_]:
    """Which rows are called fraud by their newest label up to a time; labels are in time order."""
    labels = labels.take(labels.label_us <= until_us)
    labelled = np.zeros(starts[-1], dtype=np.bool_)
    labelled[starts[labels.day] + labels.row] = labels.is_fraud
    return labelled


def handbook_sample(path: Path, days: int) -> Sample:
    """The last `days` of the Fraud-Detection-Handbook's simulated transactions."""
    table = pq.read_table(path).sort_by([("TX_DATETIME", "ascending")])
    times = table["TX_DATETIME"].cast(pa.timestamp("us")).cast(pa.int64()).to_numpy()
    table = table.filter(pa.array(times >= times[-1] - days * DAY_US))
    times = times[times >= times[-1] - days * DAY_US]
    amount = np.rint(table["TX_AMOUNT"].to_numpy() * 100).astype(np.int64)
    scenario = table["TX_FRAUD_SCENARIO"].to_numpy()
    ids = ("TRANSACTION_ID", "CUSTOMER_ID", "TERMINAL_ID")
    transactions = _bare(times, amount, *(table[name].cast(pa.string()) for name in ids))
    names = np.array(["", "large_amount", "terminal", "customer"])
    return _plain("handbook", transactions, scenario > 0, names[scenario])


def tutorial_sample(rows: int, seed: int) -> Sample:
    """Our own re-creation of what tutorials generate: uniform amounts, fraud by the toss of a coin.

    Whatever is learned from it is noise, since no field and no history has to do with fraud.
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
    return _plain("tutorial", transactions, fraud, np.where(fraud, "random", ""))


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


def _plain(
    name: str, transactions: pa.Table, truth: NDArray[np.bool_], campaign: NDArray[np.str_]
) -> Sample:
    """A sample whose labels are the truth, at once."""
    events = in_one_partition(transactions)
    return Sample(name, events, truth, truth, truth, campaign, np.zeros(0))


def _cut_us(times: NDArray[np.int64]) -> int:
    return int(times[0] + (times[-1] - times[0]) * _TRAIN_SHARE)
