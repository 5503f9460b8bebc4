"""Where a stream without a checkpoint begins, and the state that it needs there."""

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, TypeVar

from contracts.errors import BundleError, FraudError, RegistryError, SettingsError, StreamError
from contracts.kafka import end_offsets, full_ranges
from contracts.settings import Settings
from features.serving import FeatureServer
from inference.assembly import make_features
from inference.model_pool import MlflowRegistry
from inference.notes import Life

logger = logging.getLogger(__name__)

Offsets = Mapping[int, int]
T = TypeVar("T")

FIRST_CHAMPION = "champion"
WATCH_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 10.0


class SnapshotRegistry(Protocol):
    """Where champions come from, and where the data that they learnt from ended."""

    def champion_version(self) -> str | None:
        """The version behind the alias; RegistryError if unreachable."""

    def snapshot_ranges(self, version: str) -> Offsets:
        """Partition to the offset after a version's training snapshot."""


def resolve_start(settings: Settings, starting: str, stop: threading.Event, life: Life) -> Offsets:
    """Partition to first offset for `latest`, `snapshot`, `champion`, or a JSON mapping.

    The middle two are where the champion's training data ended; without one, `latest`. They wait
    for a registry that does not answer: nobody else knows which transactions were not decided yet.

    Raises:
        SettingsError: `starting` is none of these, or names no partition of the topic.
        StreamError: there is a champion, but it does not tell where its training data ended.
        BrokerError: Kafka is out of reach.
    """
    latest = end_offsets(full_ranges(settings.kafka, settings.kafka.topic))
    if starting == "latest":
        return latest
    if starting in ("snapshot", FIRST_CHAMPION):
        life.waits("the registry is to say where the champion's training ended", _REGISTRY)
        chosen = snapshot_ends(MlflowRegistry(settings), stop)
    else:
        chosen = _parsed(starting)
    life.waits("it folds feature state from Kafka and warms up", "Wait; its log says how far it is")
    unknown = chosen.keys() - latest.keys()
    if unknown:
        raise SettingsError("the topic has no such partitions", value=sorted(unknown))
    return {partition: chosen.get(partition, end) for partition, end in latest.items()}


_REGISTRY = "See that MLflow answers: `fraud status`, `fraud logs mlflow`"


def await_champion(settings: Settings, stop: threading.Event, life: Life) -> None:
    """Return once there is a champion, or `stop` is set; the past is folded meanwhile.

    What is in the topic now is most likely what the first champion is being trained on.
    """
    registry = MlflowRegistry(settings)
    logger.info("waiting for a first champion")
    life.waits("there is no champion, and it was told to wait for one", _TRAIN)
    build_state(make_features(settings), resolve_start(settings, "latest", stop, life))
    while patient(registry.champion_version, stop) is None and not stop.wait(WATCH_SECONDS):
        pass


_TRAIN = "Train and promote one: `fraud airflow dags trigger train_fraud_detection_model`"


def snapshot_ends(registry: SnapshotRegistry, stop: threading.Event) -> Offsets:
    """The transaction offsets after the champion's training snapshot; empty without a champion.

    Raises:
        StreamError: the champion does not tell; what came since would be skipped by a guess.
    """
    version = patient(registry.champion_version, stop)
    if version is None:
        logger.warning("no champion yet: the stream begins at the end of the topic")
        return {}
    try:
        return patient(lambda: registry.snapshot_ranges(version), stop) or {}
    except BundleError as error:
        raise StreamError(
            f"nobody can tell which transactions champion {version} has not seen: {error.said}",
            remedy="Promote another version, or skip what is in the topic: `--starting latest` "
            "(STREAM_STARTING=latest)",
        ) from error


def patient(ask: Callable[[], T], stop: threading.Event) -> T | None:
    """What a registry answers, asked until it does, less and less often; None once `stop` is set.

    Raises:
        BundleError: it answers, and what it has cannot be used.
    """
    trouble, pause = "", WATCH_SECONDS
    while not stop.is_set():
        try:
            return ask()
        except BundleError:
            raise
        except RegistryError as error:
            if str(error) != trouble:
                logger.warning("waiting for the registry: %s", error)
            trouble = str(error)
        stop.wait(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
    return None


def _parsed(text: str) -> Offsets:
    try:
        return {int(partition): int(offset) for partition, offset in json.loads(text).items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise SettingsError(
            "starting offsets are wrong",
            value=text,
            remedy='Give latest, snapshot, champion, or JSON such as {"0": 120, "1": 95}',
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
