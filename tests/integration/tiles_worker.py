"""The tile service in a process of its own, which kills itself where it is told.

Arguments, as one JSON object: broker, topics (of KafkaSettings), redis, death, until. `death` is
[n, moment]: SIGKILL before or after the n-th write. It ends when the frontier reaches `until`.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from feature_stream import KilledError
from tile_feeds import DyingTileStore

from contracts.settings import load_settings
from features.kafka_tile_source import KafkaTileSource
from features.redis_tile_store import RedisTileStore
from features.serving import store_prefix
from features.tile_service import TileService

CHECKOUT = Path(__file__).resolve().parents[2]
DEADLINE_SECONDS = 120


def main(arguments: dict[str, Any]) -> None:
    """Fold until the end, or die as told."""
    settings = load_settings(CHECKOUT, environ={"KAFKA_BROKER": arguments["broker"]})
    kafka = settings.kafka.model_copy(update=arguments["topics"])
    inner = RedisTileStore(arguments["redis"], store_prefix(kafka.topic))
    inner.note("test", 0, time.time_ns() // 1_000_000)
    fates = {} if arguments["death"] is None else {arguments["death"][0]: arguments["death"][1]}
    service = TileService(DyingTileStore(inner, fates), KafkaTileSource(kafka))
    deadline = time.monotonic() + DEADLINE_SECONDS
    try:
        service.start()
        while service.manifest.transactions_ms < arguments["until"]:
            service.step()
            if time.monotonic() > deadline:
                sys.exit(3)
    except KilledError:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
