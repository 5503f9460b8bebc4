"""Event tables in bulk for the feature benchmarks; every awkward thing happens in them."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.columns import EVENT_SCHEMA, SOURCE_SCHEMA
from contracts.wire import LABEL_SCHEMA

START_US = 1_767_225_600_000_000
DAY_US = 86_400_000_000
MERCHANTS_PER_CARD = 40
LABEL_PARTITIONS = 4


@dataclass(frozen=True, slots=True)
class World:
    """How many events, and which share of them is awkward in which way."""

    events: int
    cards: int
    days: int = 120
    partitions: int = 4
    duplicates: float = 0.0
    shifted: float = 0.0
    equal_times: float = 0.0
    missing: float = 0.0
    merchants: int = 2_217


def make_events(world: World, seed: int) -> pa.Table:
    """A history in Kafka's order, in EVENT_SCHEMA."""
    random = np.random.default_rng(seed)
    size = world.events
    card = random.integers(0, world.cards, size)
    times = np.sort(random.integers(0, world.days * DAY_US // 1000, size)) * 1000 + START_US
    equal = random.random(size) < world.equal_times
    times[1:][equal[1:]] = times[:-1][equal[1:]]
    times = np.maximum.accumulate(times)
    merchant = (card % 311 * 7 + random.zipf(1.4, size) % MERCHANTS_PER_CARD) % world.merchants
    columns: dict[str, pa.Array] = {
        "partition": pa.array((card % world.partitions).astype(np.int32)),
        "offset": pa.array(_offsets(card % world.partitions)),
        "timestamp_us": pa.array(times),
        "schema_version": pa.array(np.ones(size, dtype=np.int64)),
        "transaction_id": _named("t", _identifiers(random, card, world.duplicates), 12),
        "event_time": pa.array(times + _shifts(random, size, world.shifted)),
        "card_id": _named("card-", card, 8),
        "merchant_id": _named("merchant-", merchant, 6),
        "amount_minor": pa.array(np.rint(random.lognormal(7.5, 1.2, size)).astype(np.int64)),
        "device_id": _named("device-", card * 2 + (random.random(size) < 0.05), 8),
    }
    columns |= _descriptions(random, merchant, world.missing)
    return pa.table({name: columns[name] for name in EVENT_SCHEMA.names}, schema=EVENT_SCHEMA)


def make_labels(events: pa.Table, seed: int, share: float = 0.02) -> pa.Table:
    """Labels of a share of the events, some repeated, corrected, or told before they are sent."""
    random = np.random.default_rng(seed)
    rows = np.sort(random.integers(0, len(events), max(round(len(events) * share), 1)))
    told = events.take(pa.array(np.repeat(rows, random.integers(1, 3, len(rows)))))
    size = len(told)
    sent = told["timestamp_us"].to_numpy() + random.integers(0, 20 * DAY_US, size)
    order = np.argsort(sent, kind="stable")
    told, sent = told.take(pa.array(order)), sent[order]
    names = told["transaction_id"].to_pylist()
    partition = np.array([hash_of(name) % LABEL_PARTITIONS for name in names])
    columns = {
        "partition": pa.array(partition.astype(np.int32)),
        "offset": pa.array(_offsets(partition)),
        "timestamp_us": pa.array(sent // 1000 * 1000),
        "is_fraud": pa.array(random.random(size) < 0.8),
        "label_time": pa.array(sent - random.integers(0, DAY_US, size)),
        "source": pa.array(["chargeback"] * size),
    }
    columns |= {
        name: told[name] for name in ("transaction_id", "card_id", "merchant_id", "event_time")
    }
    schema = pa.schema([*SOURCE_SCHEMA, *LABEL_SCHEMA])
    return pa.table({name: columns[name] for name in schema.names}, schema=schema)


def hash_of(text: str) -> int:
    """The same in every process."""
    return sum(text.encode())


def _descriptions(
    random: np.random.Generator, merchant: NDArray[np.int64], missing: float
) -> dict[str, pa.Array]:
    size = len(merchant)
    gone = random.random(size) < missing

    def picked(words: list[str], code: NDArray[np.int64], *, holes: bool = True) -> pa.Array:
        mask = gone if holes else None
        return pa.array(np.array(words, dtype=object)[code % len(words)], pa.string(), mask=mask)

    abroad = np.where(random.random(size) < 0.03, random.integers(1, 4, size), 0)
    return {
        "merchant_category": picked(["5411", "5812", "6011", "5999", "7995"], merchant),
        "currency": picked(["EUR"], merchant, holes=False),
        "utc_offset_minutes": pa.array(np.full(size, 60), mask=gone),
        "country": picked(["DE", "FR", "US", "GB"], abroad),
        "latitude": pa.array(48 + merchant % 500 / 100, mask=gone),
        "longitude": pa.array(9 + merchant % 300 / 100, mask=gone),
        "channel": picked(["chip", "contactless", "online", "atm"], random.integers(0, 4, size)),
        "ip_prefix": _named("10.", random.zipf(1.3, size) % 5_000, 4),
    }


def _named(prefix: str, numbers: NDArray[np.int64], width: int) -> pa.Array:
    return pa.array([f"{prefix}{number:0{width}d}" for number in numbers.tolist()])


def _offsets(partition: NDArray[np.int64]) -> NDArray[np.int64]:
    offsets = np.zeros(len(partition), dtype=np.int64)
    for number in np.unique(partition):
        rows = partition == number
        offsets[rows] = np.arange(int(rows.sum()))
    return offsets


def _identifiers(
    random: np.random.Generator, card: NDArray[np.int64], duplicates: float
) -> NDArray[np.int64]:
    """Row numbers; a duplicate takes that of the card's event before."""
    names = np.arange(len(card))
    order = np.argsort(card, kind="stable")
    follows = np.zeros(len(card), dtype=np.bool_)
    follows[order[1:]] = card[order[1:]] == card[order[:-1]]
    before = np.zeros(len(card), dtype=np.int64)
    before[order[1:]] = order[:-1]
    repeated = follows & (random.random(len(card)) < duplicates)
    names[repeated] = before[repeated]
    return names


def _shifts(random: np.random.Generator, size: int, share: float) -> NDArray[np.int64]:
    """Event times that run behind by up to three days, or ahead by up to a century."""
    shifts = -random.integers(0, 3 * DAY_US, size)
    future = random.random(size) < 0.2
    shifts[future] = random.integers(0, 70 * 365, int(future.sum())) * DAY_US
    return np.where(random.random(size) < share, shifts, 0)
