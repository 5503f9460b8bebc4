"""Servers, model and load for the benchmarks of the stream; nothing of the user's is touched."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import orjson
import psutil
import xgboost
import yaml
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from contracts.kafka import RawRecord, full_ranges, partitions_of
from contracts.settings import KafkaSettings, Settings, load_settings
from features.definition import FEATURE_SET
from features.engine import replay
from features.history import events_of
from models.bundle import Bundle, open_bundle, save_bundle
from models.calibration import Calibrator
from models.policy import Policy
from models.predictors import XgboostPredictor
from models.registry import CHAMPION, register_bundle
from models.tracking import experiment_id, tracking_client
from producer.publisher import Publisher, open_publisher
from producer.records import Record
from stack.credentials import redis_url
from stack.jars import fetch_jars
from stack.kafka_server import kafka as kafka_service
from stack.layout import BASE_PORTS, HOST, Layout
from stack.servers import redis as redis_service
from stack.service import Context
from stack.supervision import YIELDING

CHECKOUT = Path(__file__).resolve().parent.parent
BIN = Path(sys.prefix) / "bin"
CARDS, MERCHANTS = 20_000, 3_000
EPOCH_US = 1_750_000_000_000_000
STEP_US = 200_000
CHUNK, PACE_SECONDS, LINGER_MS = 1_000, 0.001, 1
"""Transactions of a backlog sent at a time; how long a steady load waits for the next one, and each
of its records for others of its partition. The wait counts as latency.
"""
PREPARED = 400_000
"""So many transactions of a steady load are made before it begins."""
TREES, DEPTH, TRAINING_ROWS = 200, 6, 20_000
EARLIEST = '{"0": 0, "1": 0, "2": 0, "3": 0}'
"""Every partition from its beginning."""


def say(text: str) -> None:
    """Progress, on stderr: the last line of stdout is the result."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class Rig:
    """A scratch checkout with its own broker, store and registry."""

    home: Path
    settings: Settings

    def fresh_topics(self, *, keep: Collection[str] = ()) -> "Rig":
        """The same rig with new, empty topics, but for those of the settings in `keep`."""
        suffix = f"{random.randrange(16**6):06x}"
        fresh = [name for name in topic_fields() if name not in keep]
        rig = self.configured(
            "kafka", **{name: f"{name.removesuffix('_topic')}-{suffix}" for name in fresh}
        )
        create_topics(rig.settings.kafka, fresh)
        return rig

    def configured(self, section: str, **values: object) -> "Rig":
        """The same rig with other settings, for this process and those that it starts."""
        path = self.home / "config" / "config.yaml"
        tree = yaml.safe_load(path.read_text())
        tree[section] |= values
        path.write_text(yaml.safe_dump(tree))
        return Rig(self.home, load_settings(self.home, environ={}))


def topic_fields() -> list[str]:
    """The settings that name topics."""
    names = KafkaSettings.model_fields
    return [name for name in names if name == "topic" or name.endswith("_topic")]


def create_topics(kafka: KafkaSettings, names: Collection[str]) -> None:
    """The topics of these settings, and wait until the broker knows them."""
    admin = AdminClient({"bootstrap.servers": kafka.broker})
    new = [
        NewTopic(
            getattr(kafka, name),
            partitions_of(kafka, getattr(kafka, name)),
            1,
            config={"message.timestamp.type": "LogAppendTime"} if name == "scores_topic" else {},
        )
        for name in names
    ]
    for future in admin.create_topics(new).values():
        future.result(timeout=30)
    await_true(lambda: bool(full_ranges(kafka, kafka.truth_topic)), "topics", 30)


@contextmanager
def running_rig() -> Iterator[Rig]:
    """Start the servers in a scratch folder; all end with the block."""
    with tempfile.TemporaryDirectory(prefix="stream-bench-") as folder, ExitStack() as stack:
        home = Path(folder)
        layout = scratch_home(home)
        say(f"starting Kafka, Redis and MLflow with port offset {layout.offset}")
        settings = load_settings(home, environ={})
        context = Context(layout, settings, {})
        for service in (kafka_service(context), redis_service(context)):
            service.prepare(lambda: False)
            stack.enter_context(process(service.command, layout.logs / f"{service.name}.log"))
        stack.enter_context(
            process(
                _mlflow(home, layout),
                layout.logs / "mlflow.log",
                MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
            )
        )
        await_true(lambda: servers_are_up(settings), "the servers' start", 180)
        yield Rig(home, settings)


def scratch_home(home: Path) -> Layout:
    """Make a folder a checkout's home, with settings of its own on ports that are free."""
    fetch_jars(Layout(CHECKOUT), say)
    for name in (".fraud", "logs", "config"):
        (home / name).mkdir()
    (home / ".fraud" / "jars").symlink_to(CHECKOUT / ".fraud" / "jars")
    for offset in random.sample(range(20_000, 31_000), 100):
        layout = Layout(home, offset)
        if all(_is_free(layout.port(listener)) for listener in BASE_PORTS):
            _write_settings(home, layout)
            return layout
    sys.exit("no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) != 0


def _write_settings(home: Path, layout: Layout) -> None:
    tree = yaml.safe_load((CHECKOUT / "config" / "config.yaml").read_text())
    tree["kafka"]["broker"] = f"{HOST}:{layout.port('kafka')}"
    tree["redis"]["url"] = redis_url(layout, "bench")
    tree["mlflow"]["tracking_uri"] = layout.url("mlflow")
    tree["spark"]["ui_port"] = layout.port("spark-ui")
    (home / "config" / "config.yaml").write_text(yaml.safe_dump(tree))


def _mlflow(home: Path, layout: Layout) -> tuple[str, ...]:
    return (
        *YIELDING,
        *(str(BIN / "mlflow"), "server", "--host", HOST, "--port", str(layout.port("mlflow"))),
        *("--workers", "1", "--backend-store-uri", f"sqlite:///{home}/mlflow.db"),
        *("--artifacts-destination", str(home / "artifacts")),
    )


def servers_are_up(settings: Settings) -> bool:
    """Whether the broker answers, and MLflow unless the registry is a file."""
    try:
        AdminClient({"bootstrap.servers": settings.kafka.broker, "log_level": 0}).list_topics("", 2)
        if settings.mlflow.tracking_uri.startswith("sqlite:"):
            return True
        url = f"{settings.mlflow.tracking_uri}/api/2.0/mlflow/experiments/get?experiment_id=0"
        with urllib.request.urlopen(url, timeout=2):
            return True
    except (OSError, KafkaException):
        return False


@contextmanager
def process(command: tuple[str, ...], log: Path, **environment: str) -> Iterator[int]:
    """A process group for the length of the block; its pid."""
    with log.open("ab") as out:
        child = subprocess.Popen(
            command,
            stdout=out,
            stderr=out,
            start_new_session=True,
            env={**os.environ, **environment},
        )
        try:
            yield child.pid
        finally:
            child.terminate()
            try:
                child.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()


@contextmanager
def stream(rig: Rig, *options: str) -> Iterator[int]:
    """`fraud stream …` on the rig, from an empty checkpoint."""
    shutil.rmtree(rig.home / ".fraud" / "data" / "stream", ignore_errors=True)
    command = (str(BIN / "fraud"), "stream", *options)
    home = {"FRAUD_HOME": str(rig.home)}
    with (
        process((str(BIN / "fraud"), "tiles"), rig.home / "logs" / "tiles.log", **home),
        process(command, rig.home / "logs" / "stream.log", **home) as pid,
    ):
        yield pid


def process_is_alive(pid: int) -> bool:
    """Whether a process still runs."""
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def await_true(condition: Callable[[], bool], what: str, seconds: float) -> None:
    """Wait for a condition, or end the benchmark."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} took more than {seconds:.0f} s")
        time.sleep(0.05)


def stepped_us(number: Any) -> Any:
    """When the number-th transaction of a backlog happened, or many of them: five a second."""
    return EPOCH_US + number * STEP_US


def transaction(number: int, dice: random.Random, event_time: int) -> tuple[str, bytes]:
    """Key and value of the number-th transaction of a skewed population of cards."""
    card = f"card-{min(int(dice.expovariate(1 / 0.25) * CARDS), CARDS - 1):06d}"
    value = {
        "schema_version": 1,
        "transaction_id": f"bench-{number:010d}",
        "event_time": event_time,
        "card_id": card,
        "merchant_id": f"m-{dice.randrange(MERCHANTS):05d}",
        "amount_minor": int(dice.lognormvariate(7.5, 1.2)) + 1,
        "merchant_category": dice.choice(("5411", "5812", "4829", "5999", "6011")),
        "currency": "EUR",
        "utc_offset_minutes": 60,
        "country": dice.choice(("FR", "FR", "FR", "DE", "US")),
        "latitude": round(48 + dice.random(), 4),
        "longitude": round(2 + dice.random(), 4),
        "channel": dice.choice(("chip", "contactless", "online")),
        "device_id": None,
        "ip_prefix": None,
    }
    return card, orjson.dumps(value)


class Flag(Protocol):
    """An event of `threading` or `multiprocessing`."""

    def is_set(self) -> bool:
        """Whether it has come."""


def publish(
    rig: Rig, count: int, *, first: int = 0, rate: float | None = None, enough: Flag | None = None
) -> None:
    """Send a backlog as fast as it goes, or transactions that happen at `rate` a second, evenly.

    It ends after `count`, or as soon as `enough` is set.
    """
    publisher = open_publisher(rig.settings.kafka, linger_ms=LINGER_MS if rate else 20)
    began_us, step_us = stepped_us(first), 1e6 / rate if rate else STEP_US
    dice = random.Random(first)

    def made(numbers: Iterable[int]) -> Iterator[Record]:
        for number in numbers:
            time_us = began_us + round(number * step_us)
            yield sendable(rig, *transaction(first + number, dice, time_us), time_us)

    # What a steady load takes to make is not what is measured: it is made before.
    ready = list(made(range(min(count, PREPARED)))) if rate else []
    started, sent = time.monotonic(), 0
    while sent < count and not (enough is not None and enough.is_set()):
        due = sent + CHUNK if rate is None else int((time.monotonic() - started) * rate) + 1
        numbers = range(sent, min(due, count))
        if not numbers:
            time.sleep(PACE_SECONDS)
            publisher.serve()
            continue
        records = ready[numbers.start : numbers.stop]
        records += made(range(numbers.start + len(records), numbers.stop))
        publisher.send_all(records)
        publisher.promise(records[-1].timestamp_us)
        sent = numbers.stop
    end(publisher, records[-1].timestamp_us)


def sendable(rig: Rig, card: str, value: bytes, time_us: int) -> Record:
    """A record of the transaction topic that carries when it was sent."""
    return Record(rig.settings.kafka.topic, card, value, time_us, (0, 0), is_transaction=True)


def end(publisher: Publisher, until_us: int) -> None:
    """Wait until everything has arrived, and say that nothing earlier will follow."""
    publisher.flush()
    publisher.promise(until_us, is_last=True)
    publisher.flush()


def answers(settings: Settings) -> int:
    """Records in the score and reject topics."""
    kafka = settings.kafka
    topics = (kafka.scores_topic, kafka.rejects_topic)
    return sum(span.end - span.start for topic in topics for span in full_ranges(kafka, topic))


def register_model(rig: Rig, seed: int) -> str:
    """The made-up model of a seed in the registry; its version."""
    folder = rig.home / f"bundle-{seed}"
    folder.mkdir()
    made_up_model(folder, rig.settings, seed)
    client = tracking_client(rig.settings.mlflow)
    run = client.create_run(experiment_id(client, rig.settings.mlflow.experiment))
    return register_bundle(rig.settings, client, run.info.run_id, folder, {})


def made_up_model(folder: Path, settings: Settings, seed: int) -> Bundle:
    """A boosted model of full size on the real features of made-up transactions."""
    dice = random.Random(seed)
    records = [
        RawRecord(0, n, stepped_us(n) // 1000, key.encode(), value)
        for n in range(TRAINING_ROWS)
        for key, value in (transaction(n, dice, stepped_us(n)),)
    ]
    values = replay(events_of(records)).values
    rng = np.random.default_rng(seed)
    amount = values[:, FEATURE_SET.names.index("transaction_amount")]
    target = rng.random(len(values)) < np.where(amount > np.quantile(amount, 0.98), 0.3, 0.002)
    _save(folder, settings, values, target.astype(int), seed)
    return open_bundle(folder, str(seed))


def _save(
    folder: Path, settings: Settings, values: np.ndarray, target: np.ndarray, seed: int
) -> None:
    parameters = {"max_depth": DEPTH, "objective": "binary:logistic", "seed": seed, "eta": 0.1}
    booster = xgboost.train(parameters, xgboost.DMatrix(values, target), num_boost_round=TREES)
    names = list(FEATURE_SET.names)
    save_bundle(
        folder,
        predictor=XgboostPredictor(booster, None),
        calibrator=Calibrator("platt", (1.0,), (0.0,)),
        policy=Policy(settings.policy, 0.0),
        details={
            "arm": {"name": "bench"},
            "feature_hash": FEATURE_SET.hash,
            "feature_names": names,
            "snapshot_ranges": {str(p): 0 for p in range(settings.kafka.partitions)},
            "training": {"manifest_uri": "none"},
            "reasons": {name: name.upper() for name in names},
            "metrics": {"average_precision": 0.0},
        },
        golden_values=values[:64],
    )


def promote(rig: Rig, version: str) -> None:
    """Move the champion alias: what the promotion DAG does in the end."""
    client = tracking_client(rig.settings.mlflow)
    client.set_registered_model_alias(rig.settings.mlflow.model_name, CHAMPION, version)


def finish(figures: dict[str, object]) -> None:
    """Print the result as the last line."""
    print(json.dumps(figures))
