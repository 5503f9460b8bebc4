"""What the tests of the stream share: a small model in a registry, a home folder, a feed."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import xgboost
import yaml

from contracts.errors import BrokerError
from contracts.frontiers import Promise
from contracts.kafka import full_ranges, make_producer, read_range
from contracts.settings import KafkaSettings, Settings
from features.definition import FEATURE_SET
from features.tile_run import run_tiles
from models.bundle import save_bundle
from models.calibration import Calibrator
from models.policy import Policy
from models.predictors import XgboostPredictor
from models.registry import CHAMPION, register_bundle
from models.tracking import experiment_id, tracking_client

CHECKOUT = Path(__file__).resolve().parents[2]
FIRST_TIME_US = 1_750_000_000_000_000
CARDS = 200


def make_home(root: Path, settings: Settings, redis_url: str) -> Path:
    """A folder that `fraud` takes for a checkout: these topics, a registry in a file."""
    (root / "config").mkdir(parents=True)
    tree = yaml.safe_load((CHECKOUT / "config" / "config.yaml").read_text())
    for name in KafkaSettings.model_fields:
        if name == "topic" or name.endswith("_topic") or name == "broker":
            tree["kafka"][name] = getattr(settings.kafka, name)
    tree["redis"]["url"] = redis_url
    tree["mlflow"]["tracking_uri"] = f"sqlite:///{root}/mlflow.db"
    tree["spark"]["ui_port"] = 24040
    tree["spark"]["max_offsets_per_trigger"] = 3_000
    (root / "config" / "config.yaml").write_text(yaml.safe_dump(tree))
    (root / ".fraud").mkdir()
    (root / ".fraud" / "jars").symlink_to(CHECKOUT / ".fraud" / "jars")
    return root


def register_model(settings: Settings, folder: Path, seed: int) -> str:
    """A small boosted model on made-up rows, registered; its version."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    values = rng.lognormal(3, 2, (2_000, len(FEATURE_SET.names)))
    target = (values[:, 5] > np.quantile(values[:, 5], 0.9)).astype(int)
    booster = xgboost.train(
        {"max_depth": 4, "objective": "binary:logistic", "nthread": 1, "seed": seed},
        xgboost.DMatrix(values, target),
        num_boost_round=20,
    )
    save_bundle(
        folder,
        predictor=XgboostPredictor(booster, None),
        calibrator=Calibrator("platt", (1.0,), (0.0,)),
        policy=Policy(settings.policy, 0.0),
        details=_details(),
        golden_values=values[:64],
    )
    client = tracking_client(settings.mlflow)
    run = client.create_run(experiment_id(client, settings.mlflow.experiment))
    return register_bundle(settings, client, run.info.run_id, folder, {})


def _details() -> dict[str, Any]:
    names = list(FEATURE_SET.names)
    return {
        "arm": {"name": "test"},
        "feature_hash": FEATURE_SET.hash,
        "feature_names": names,
        "snapshot_ranges": {"0": 0, "1": 0, "2": 0, "3": 0},
        "training": {"manifest_uri": "none"},
        "reasons": {name: name.upper() for name in names},
        "metrics": {"average_precision": 1.0},
    }


def promote(settings: Settings, version: str) -> None:
    """Point the champion alias at a version."""
    client = tracking_client(settings.mlflow)
    client.set_registered_model_alias(settings.mlflow.model_name, CHAMPION, version)


@contextmanager
def folding(settings: Settings) -> Iterator[None]:
    """The tile service in a thread for the length of the block."""
    stop = threading.Event()
    runner = threading.Thread(target=run_tiles, args=(settings, stop))
    runner.start()
    try:
        yield
    finally:
        stop.set()
        runner.join(60)


def promise(kafka: KafkaSettings, until_ms: int) -> None:
    """Say that whatever comes after what is there will not be stamped earlier."""
    ends = {
        topic: {span.partition: span.end for span in full_ranges(kafka, topic)}
        for topic in (kafka.topic, kafka.labels_topic)
    }
    producer = make_producer(kafka)
    body = Promise(until_ms, ends).to_json()
    producer.produce(kafka.frontiers_topic, key="test", value=body)
    producer.flush(30)


class Feed:
    """Sends valid transactions, with every hundredth broken, and a repeat now and then."""

    def __init__(self, settings: Settings) -> None:
        self._kafka = settings.kafka
        self._producer = make_producer(settings.kafka)
        self.sent = 0

    def send(self, count: int) -> None:
        """Send the next records and wait for them."""
        for number in range(self.sent, self.sent + count):
            self._send_one(number)
        self._producer.flush(30)
        self.sent += count
        promise(self._kafka, (FIRST_TIME_US + self.sent * 30_000_000) // 1000)

    def _send_one(self, number: int) -> None:
        card = f"card-{number * 7919 % CARDS}"
        repeated = number - CARDS if number % 97 == 0 and number >= CARDS else number
        event_time = FIRST_TIME_US + repeated * 30_000_000
        value = {
            "schema_version": 1,
            "transaction_id": f"t{repeated}",
            "event_time": event_time,
            "card_id": card,
            "merchant_id": f"m{number % 31}",
            "amount_minor": 100 + number * 104_729 % 90_000,
            "merchant_category": "5411",
            "country": "FR",
            "utc_offset_minutes": 60,
            "channel": "online",
        }
        self._producer.produce(
            self._kafka.topic,
            key=card,
            value=b"{broken" if number % 100 == 50 else orjson.dumps(value),
            timestamp=(FIRST_TIME_US + number * 30_000_000) // 1000,
            headers={"sent_us": str(time.time_ns() // 1000)},
        )
        self._producer.poll(0)


def answer_count(settings: Settings) -> int:
    """Records in the score and reject topics, repeats included."""
    kafka = settings.kafka
    topics = (kafka.scores_topic, kafka.rejects_topic)
    return sum(span.end - span.start for topic in topics for span in full_ranges(kafka, topic))


def rejected_sources(settings: Settings) -> list[tuple[int, int]]:
    """Partition and offset of every rejection."""
    kafka = settings.kafka
    return [
        (body["source"]["partition"], body["source"]["offset"])
        for span in full_ranges(kafka, kafka.rejects_topic)
        for records in read_range(kafka, span)
        for body in (json.loads(record.value or b"{}") for record in records)
    ]


def await_true(condition: Callable[[], bool], what: str, seconds: float = 600.0) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not _holds(condition):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen within {seconds:.0f} s")
        time.sleep(0.2)


def _holds(condition: Callable[[], bool]) -> bool:
    try:
        return condition()
    except BrokerError:  # a busy broker may forget its metadata for a moment
        return False
