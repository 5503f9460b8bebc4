"""Where a stream without a checkpoint begins, and the state that it needs there."""

import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path

from contracts.errors import FraudError, SettingsError
from contracts.kafka import end_offsets, full_ranges
from contracts.settings import Settings
from features.serving import FeatureServer
from inference.model_pool import MlflowRegistry

logger = logging.getLogger(__name__)

Offsets = Mapping[int, int]


def resolve_start(settings: Settings, starting: str) -> Offsets:
    """Partition to first offset for `latest`, `snapshot`, or a JSON mapping.

    `snapshot` is where the champion's training data ended; without a champion it is `latest`.

    Raises:
        SettingsError: `starting` is none of these, or names no partition of the topic.
        BrokerError: Kafka is out of reach.
    """
    latest = end_offsets(full_ranges(settings.kafka, settings.kafka.topic))
    if starting == "latest":
        return latest
    chosen = snapshot_ends(settings) if starting == "snapshot" else _parsed(starting)
    unknown = chosen.keys() - latest.keys()
    if unknown:
        raise SettingsError("the topic has no such partitions", value=sorted(unknown))
    return {partition: chosen.get(partition, end) for partition, end in latest.items()}


def snapshot_ends(settings: Settings) -> Offsets:
    """The transaction offsets after the champion's training snapshot; empty without a champion."""
    from models.registry import load_bundle

    try:
        version = MlflowRegistry(settings).champion_version()
        if version is None:
            logger.warning("no champion yet: the stream begins at the end of the topic")
            return {}
        return load_bundle(settings, version).snapshot_ranges
    except FraudError as error:
        logger.warning("the stream begins at the end of the topic: %s", error)
        return {}


def _parsed(text: str) -> Offsets:
    try:
        return {int(partition): int(offset) for partition, offset in json.loads(text).items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise SettingsError(
            "starting offsets are wrong",
            value=text,
            remedy='Give latest, snapshot, or JSON such as {"0": 120, "1": 95}',
        ) from error


def as_spark_json(topic: str, offsets: Offsets) -> str:
    """Offsets as Spark's option `startingOffsets`."""
    return json.dumps({topic: {str(partition): offsets[partition] for partition in offsets}})


def checkpoint_offsets(checkpoint: Path, topic: str) -> Offsets | None:
    """The offsets from which a checkpoint's query will go on; None without a checkpoint.

    They are where the last committed batch ended; before that, where the query began.
    """
    done = _numbers(checkpoint / "offsets") & _numbers(checkpoint / "commits")
    path = checkpoint / "sources" / "0" / "0"
    if done:
        path = checkpoint / "offsets" / str(max(done))
    if not path.exists():
        return None
    by_topic = json.loads(path.read_text().splitlines()[-1])
    return {int(partition): int(offset) for partition, offset in by_topic.get(topic, {}).items()}


def _numbers(folder: Path) -> set[int]:
    if not folder.is_dir():
        return set()
    return {int(path.name) for path in folder.iterdir() if path.name.isdigit()}


def build_state(server: FeatureServer, offsets: Offsets) -> None:
    """Bring every partition's feature state to its offset; a failure is left to the scorer."""
    started = time.monotonic()
    folded = 0

    def progress(count: int) -> None:
        nonlocal folded
        folded += count
        logger.info("state: %d events folded in %.1f s", folded, time.monotonic() - started)

    try:
        for partition, offset in offsets.items():
            server.ensure(partition, offset, progress)
    except FraudError as error:
        logger.warning("state is not ready, the first batches may fall back: %s", error)
        return
    logger.info("state stands at %s after %.1f s", dict(offsets), time.monotonic() - started)
