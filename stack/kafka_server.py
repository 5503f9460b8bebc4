"""Kafka as one KRaft node: broker and controller in one Java process."""

import base64
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

from stack.commands import run_command
from stack.jars import classpath, java_command
from stack.layout import HOST, Layout
from stack.service import Context, Service

HEAP = ("-Xmx384m", "-Xms384m", "-Xmn160m", "-XX:+UseParallelGC", "-XX:ParallelGCThreads=2")
"""All of it from the start: a heap that grows collects five times a second, and all of it at times,
while every client waits. Two collecting threads are done before the cores are wanted again.
"""

BROKER_PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "inter.broker.listener.name": "PLAINTEXT",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    # One node: every internal topic has one replica.
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    # What compacts a few small topics; the default is 128 MB of the heap.
    "log.cleaner.dedupe.buffer.size": "16777216",
    # A few clients on few cores: more threads only wake each other.
    "num.network.threads": "1",
    "num.io.threads": "2",
    # Topics come from config.yaml; a misspelt name must not make one.
    "auto.create.topics.enable": "false",
    # Backfilled records carry old timestamps: time-based deletion would take them at once.
    "log.retention.ms": "-1",
    # A group that pauses for a season must find its place again.
    "offsets.retention.minutes": "525600",
}

LOGGING = """<Configuration><Appenders><Console name="out">
<PatternLayout pattern="%d{ISO8601} %-5p %c{1} %m%n"/></Console></Appenders>
<Loggers><Root level="warn"><AppenderRef ref="out"/></Root>
<Logger name="kafka.server.KafkaRaftServer" level="info"/></Loggers></Configuration>
"""


def kafka(context: Context) -> Service:
    """The broker; its data folder is formatted once."""
    layout = context.layout
    return Service(
        name="kafka",
        command=(*_java(layout), "kafka.Kafka", str(_properties_path(layout))),
        directory=layout.state,
        needs=("jars",),
        listeners=("kafka", "kafka-controller"),
        url=f"{HOST}:{layout.port('kafka')}",
        stop_seconds=20,
        prepare=lambda cancelled: _prepare(layout, cancelled),
    )


def server_properties(layout: Layout, data: Path) -> str:
    """The broker's configuration, with the checkout's ports."""
    controller = f"{HOST}:{layout.port('kafka-controller')}"
    broker = f"PLAINTEXT://{HOST}:{layout.port('kafka')}"
    own = {
        "listeners": f"{broker},CONTROLLER://{controller}",
        "advertised.listeners": broker,
        "controller.quorum.voters": f"1@{controller}",
        "log.dirs": str(data),
    }
    return "".join(f"{name}={value}\n" for name, value in {**BROKER_PROPERTIES, **own}.items())


def _java(layout: Layout) -> tuple[str, ...]:
    return (
        java_command(),
        *HEAP,
        "-XX:MaxMetaspaceSize=128m",
        # Both compilers: the first minute costs more than with the quick one alone, every request
        # after it a third less.
        *("-XX:+ExitOnOutOfMemoryError", "-Djava.awt.headless=true"),
        f"-Dlog4j2.configurationFile={_logging_path(layout)}",
        *("-cp", classpath(layout, "kafka")),
    )


def _properties_path(layout: Layout) -> Path:
    return layout.run / "kafka.properties"


def _logging_path(layout: Layout) -> Path:
    return layout.run / "kafka-log4j2.xml"


def _prepare(layout: Layout, cancelled: Callable[[], bool]) -> None:
    layout.run.mkdir(parents=True, exist_ok=True)
    data, properties = layout.data("kafka"), _properties_path(layout)
    properties.write_text(server_properties(layout, data), encoding="utf-8")
    _logging_path(layout).write_text(LOGGING, encoding="utf-8")
    if not data.exists():
        _format(layout, cancelled)


def _format(layout: Layout, cancelled: Callable[[], bool]) -> None:
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    scratch = layout.data(".kafka.part")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    properties = layout.run / "kafka-format.properties"
    properties.write_text(server_properties(layout, scratch), encoding="utf-8")
    command = [*_java(layout), "kafka.tools.StorageTool", "format"]
    run_command(
        # One word: an id may begin with a hyphen, and would be taken for an option.
        [*command, f"--cluster-id={cluster}", f"--config={properties}"],
        doing="formatting Kafka's data folder",
        log=layout.logs / "kafka.log",
        remedy="See the log; then run `fraud up` again",
        cancelled=cancelled,
    )
    scratch.rename(layout.data("kafka"))
