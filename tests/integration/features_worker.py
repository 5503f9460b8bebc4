"""A consumer of one partition in a process of its own, which kills itself where it is told.

Arguments, as one JSON object: broker, topic, redis, partition, folder, batch, death. It commits to
a file after each batch, as Kafka or a checkpoint would hold it, and appends what it served.
`death` is [n, moment]: SIGKILL before or after the n-th write of this process.
"""

import json
import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from feature_stream import DyingStore, KilledError, serve_or_recover

from contracts.kafka import full_ranges
from contracts.settings import KafkaSettings, load_settings
from features.history import KafkaHistory
from features.redis_tile_store import RedisTileStore
from features.serving import FeatureServer, store_prefix
from features.store import RedisStateStore
from features.tile_reader import TileReader

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass
class Worker:
    """One partition, from its committed offset to its end."""

    kafka: KafkaSettings
    partition: int
    folder: Path
    server: FeatureServer
    batch: int
    log: Any = field(default=None)

    def run(self) -> None:
        """Serve what is left, batch by batch."""
        span = full_ranges(self.kafka, self.kafka.topic)[self.partition]
        committed = self.committed()
        with (self.folder / "served.jsonl").open("a", encoding="utf-8") as self.log:
            while committed < span.end:
                committed = self.one_batch(committed, min(committed + self.batch, span.end))

    def committed(self) -> int:
        """The offset to start at."""
        path = self.folder / "committed"
        return int(path.read_text()) if path.exists() else 0

    def one_batch(self, start: int, end: int) -> int:
        """Ensure, serve, log, mark, commit."""
        self.server.ensure(self.partition, start)
        for events in KafkaHistory(self.kafka).read(self.partition, start, end):
            served = serve_or_recover(self.server, events, self.partition, start)
            for offset, row in zip(events["offset"].to_pylist(), served.values, strict=True):
                self.log.write(json.dumps({"offset": offset, "row": row.tobytes().hex()}) + "\n")
        self.log.flush()
        self.server.mark({self.partition: (start, end)})
        (self.folder / "committed").write_text(str(end))
        return end


def main(arguments: dict[str, Any]) -> None:
    """Run to the end, or die as told."""
    settings = load_settings(CHECKOUT, environ={"KAFKA_BROKER": arguments["broker"]})
    kafka = settings.kafka.model_copy(update={"topic": arguments["topic"]})
    store = RedisStateStore(arguments["redis"], store_prefix(kafka.topic))
    deaths = {} if arguments["death"] is None else {arguments["death"][0]: arguments["death"][1]}
    tiles = TileReader(RedisTileStore(arguments["redis"], store_prefix(kafka.topic)))
    server = FeatureServer(
        DyingStore(store, deaths), kafka.topic, history=KafkaHistory(kafka), tiles=tiles
    )
    folder = Path(arguments["folder"])
    try:
        Worker(kafka, arguments["partition"], folder, server, arguments["batch"]).run()
    except KilledError:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
