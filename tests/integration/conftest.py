"""Real servers for integration tests, each started once, on free ports and in scratch folders."""

import random
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from contracts.errors import BrokerError
from contracts.kafka import full_ranges, partitions_of
from contracts.settings import KafkaSettings, Settings, load_settings
from stack import credentials
from stack.jars import fetch_jars
from stack.kafka_server import kafka as kafka_service
from stack.layout import HOST, Layout
from stack.servers import redis as redis_service
from stack.service import Context
from stack.topics import topic_table

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Kafka that is started for this test session alone."""
    layout = _scratch_layout(tmp_path_factory.mktemp("kafka"), ("kafka", "kafka-controller"))
    settings = load_settings(CHECKOUT, environ={})
    service = kafka_service(Context(layout, settings, {}))
    service.prepare(lambda: False)
    with _running(service.command, layout.logs / "kafka.log"):
        address = f"{HOST}:{layout.port('kafka')}"
        _await_broker(address)
        yield address


@pytest.fixture
def kafka_settings(kafka_broker: str) -> Settings:
    """The checkout's settings on that Kafka, with topics that only this test uses."""
    settings = load_settings(CHECKOUT, environ={"KAFKA_BROKER": kafka_broker})
    prefix = f"test-{uuid.uuid4().hex[:8]}"
    topics = {
        field: f"{prefix}-{field.removesuffix('_topic')}"
        for field in KafkaSettings.model_fields
        if field == "topic" or field.endswith("_topic")
    }
    kafka = settings.kafka.model_copy(update=topics)
    admin = AdminClient({"bootstrap.servers": kafka_broker})
    table = topic_table(kafka)
    wanted = [NewTopic(name, partitions_of(kafka, name), 1, config=table[name]) for name in table]
    for future in admin.create_topics(wanted).values():
        future.result(timeout=20)
    for name in topics.values():
        _await_topic(kafka, name)
    return settings.model_copy(update={"kafka": kafka})


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Redis that is started for this test session alone."""
    layout = _scratch_layout(tmp_path_factory.mktemp("redis"), ("redis",))
    url = credentials.redis_url(layout, "secret")
    settings = load_settings(CHECKOUT, environ={"REDIS_URL": url})
    service = redis_service(Context(layout, settings, {}))
    service.prepare(lambda: False)
    with _running(service.command, layout.logs / "redis.log"):
        _await_redis(url)
        yield url


@pytest.fixture(scope="session")
def redis_port_url(redis_url: str) -> str:
    """The same Redis by TCP."""
    port = redis.Redis.from_url(redis_url).config_get("port")["port"]
    return f"redis://:{credentials.redis_password(redis_url)}@{HOST}:{port}/0"


def _await_redis(url: str, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            redis.Redis.from_url(url).ping()
        except redis.RedisError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _await_topic(kafka: KafkaSettings, name: str, seconds: float = 90.0) -> None:
    """A new topic is known to the broker a moment after it was made."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            full_ranges(kafka, name)
        except BrokerError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _scratch_layout(root: Path, listeners: tuple[str, ...]) -> Layout:
    """A layout below `root` with the checkout's jars and an offset at which the ports are free."""
    (root / ".fraud").mkdir()
    jars = CHECKOUT / ".fraud" / "jars"
    fetch_jars(Layout(CHECKOUT), lambda _: None)
    (root / ".fraud" / "jars").symlink_to(jars)
    (root / "logs").mkdir()
    for offset in random.Random().sample(range(20_000, 31_000), 50):
        layout = Layout(root, offset)
        if all(_is_free(layout.port(listener)) for listener in listeners):
            return layout
    raise AssertionError("no free ports between 20,000 and 40,000")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) != 0


@contextmanager
def _running(command: tuple[str, ...], log: Path) -> Iterator[None]:
    with log.open("ab") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            yield
        finally:
            process.kill()


def _await_broker(address: str, seconds: float = 240.0) -> None:
    client = AdminClient({"bootstrap.servers": address, "log_level": 0})
    deadline = time.monotonic() + seconds
    while True:
        try:
            client.list_topics(timeout=2)
        except KafkaException:
            if time.monotonic() > deadline:
                raise
        else:
            return
