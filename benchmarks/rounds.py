"""What a round of the direct consumer's scorer takes with a real Redis: by its socket, by its port.

In turns, in this process, with full features and reasons; Kafka is not in it. Most rounds read some
cards' states and write all.

    python benchmarks/rounds.py [--rounds 1500] [--turns 3]

Last line: {"round_us": {records: {"socket": {"median", "p90"}, "port": …}}, …}, wall time.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import redis
from stream_rig import (
    CHECKOUT,
    EPOCH_US,
    await_true,
    finish,
    made_up_model,
    process,
    say,
    scratch_home,
    transaction,
)

from contracts.columns import EVENT_SCHEMA
from contracts.settings import Settings, load_settings
from features.history import NoHistory
from features.redis_store import RedisStateStore
from features.serving import FeatureServer
from features.tile_history import folded
from features.tile_reader import TileReader
from inference.records import SourceBatch
from inference.scorer import Scorer, Topics
from inference.warm import load_kernels
from models.bundle import Bundle
from stack.credentials import redis_password
from stack.layout import HOST, Layout
from stack.servers import redis as redis_service
from stack.service import Context

RECORDS = (1, 6, 23)
WARM_ROUNDS = 300
ROUNDS_PER_MARK = 50
STEP_US = 1_000


class Rounds:
    """A scorer with states of its own in a Redis, and batches over all partitions for it."""

    def __init__(self, settings: Settings, model: Bundle, url: str, records: int) -> None:
        self._numbers = settings.kafka.partitions
        self._records = records
        self._model = model
        self._dice = random.Random(records)
        self._next = [0] * self._numbers
        self._committed = dict.fromkeys(range(self._numbers), 0)
        self._made = 0
        store = RedisStateStore(url, f"rounds-{records}-{random.random()}")
        tiles = TileReader(folded(EVENT_SCHEMA.empty_table()))
        server = FeatureServer(store, settings.kafka.topic, history=NoHistory(), tiles=tiles)
        topics = Topics.of(settings.kafka)
        self._scorer = Scorer(topics, server, settings.fallback, partitions=0)

    def batch(self) -> SourceBatch:
        """As many records as a round has, spread over the partitions."""
        size, at = self._records, EPOCH_US + self._made * STEP_US
        found = [transaction(self._made + i, self._dice, at + i * STEP_US) for i in range(size)]
        self._made += size
        partitions = np.sort(np.arange(size) % self._numbers).astype(np.int32)
        offsets = np.empty(size, dtype=np.int64)
        for number in range(self._numbers):
            own = partitions == number
            offsets[own] = self._next[number] + np.arange(own.sum())
            self._next[number] += int(own.sum())
        return SourceBatch(
            partitions=partitions,
            offsets=offsets,
            timestamps_us=np.full(size, at),
            keys=[card.encode() for card, _ in found],
            values=[value for _, value in found],
            sent=[b"1700000000000000"] * size,
        )

    def took_us(self, rounds: int) -> list[float]:
        """Microseconds of each of so many rounds."""
        took = []
        for number in range(rounds):
            batch = self.batch()
            began = time.perf_counter()
            answers = self._scorer.score(batch, committed=self._committed, model=self._model)
            list(answers.rows())
            took.append((time.perf_counter() - began) * 1e6)
            if number % ROUNDS_PER_MARK == 0:
                self._committed.update(enumerate(self._next))
                self._scorer.mark(self._committed)
        return took


@contextmanager
def a_redis(home: Path) -> Iterator[tuple[Settings, dict[str, str]]]:
    """The stack's own Redis in a scratch checkout: the settings, and its address by each way."""
    layout: Layout = scratch_home(home)
    settings = load_settings(home, environ={})
    if settings.redis.socket is None:
        sys.exit(f"{home} is too deep for a socket: set TMPDIR to a shorter path")
    service = redis_service(Context(layout, settings, {}))
    service.prepare(lambda: False)
    password = redis_password(settings.redis.url)
    port = f"redis://:{password}@{HOST}:{layout.port('redis')}/0"
    with process(service.command, layout.logs / "redis.log"):
        await_true(lambda: answers_at(port), "Redis' start", 30)
        yield settings, {"socket": settings.redis.url, "port": port}


def answers_at(url: str) -> bool:
    """Whether a Redis is there."""
    try:
        return bool(redis.Redis.from_url(url).ping())
    except redis.RedisError:
        return False


def main() -> None:
    """All sizes, both ways in turns."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1_500, help="of each size, way and turn")
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    load_kernels()
    figures: dict[str, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder, a_redis(Path(folder)) as (settings, ways):
        bundle = Path(folder) / "bundle"
        bundle.mkdir()
        model = made_up_model(bundle, load_settings(CHECKOUT, environ={}), 1)
        for records in RECORDS:
            runs = {way: Rounds(settings, model, url, records) for way, url in ways.items()}
            took: dict[str, list[float]] = {way: [] for way in ways}
            for run in runs.values():
                run.took_us(WARM_ROUNDS)
            for turn in range(arguments.turns):
                for way, run in runs.items():
                    took[way] += run.took_us(arguments.rounds)
                    say(f"{records} records by its {way}, turn {turn + 1}")
            figures[str(records)] = {
                way: dict(
                    zip(
                        ("median", "p90"), np.percentile(us, [50, 90]).round().tolist(), strict=True
                    )
                )
                for way, us in took.items()
            }
    finish({"round_us": figures, "cpus": os.cpu_count(), "load_average": os.getloadavg()[0]})


if __name__ == "__main__":
    main()
