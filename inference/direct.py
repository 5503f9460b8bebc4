"""Starts the direct consumer on real servers."""

import gc
import logging
import os
import socket
import sys
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from confluent_kafka import OFFSET_INVALID, Consumer, TopicPartition

from contracts.kafka import client_config, make_producer
from contracts.settings import KafkaSettings, Settings
from inference.assembly import (
    make_features,
    make_pool,
    make_scorer,
    shown_metrics,
)
from inference.consumer import Client, CommitReports, DirectConsumer
from inference.notes import Life
from inference.outbox import Outbox, Sender, TransactionalOutbox, TransactionalSender
from inference.pipelines import direct_pipeline, make_tallies
from inference.start_offsets import build_state, resolve_start
from inference.tallies import Meter
from inference.warm import load_kernels

logger = logging.getLogger(__name__)

SWITCH_SECONDS = 0.0005
"""So long a background thread may hold the interpreter while a round waits for it."""


@dataclass(frozen=True, slots=True)
class DirectOptions:
    """`group` shares the partitions; `starting` counts where the group has committed nothing."""

    group: str
    starting: str = "snapshot"
    is_transactional: bool = False
    metrics_port: int | None = None


def run_direct(
    settings: Settings, options: DirectOptions, stop: threading.Event, life: Life
) -> int:
    """Decide transactions until `stop` is set; returns how many records were answered.

    Raises:
        BrokerError: Kafka is out of reach, or refuses a record.
    """
    pipeline = direct_pipeline(options.group)
    pool = make_pool(settings, pipeline)
    pool.refresh()
    pool.follow()
    reports = CommitReports()
    client = open_client(settings.kafka, options.group, reports)
    starting = starting_offsets(settings, options, client, stop, life)
    if not stop.is_set():
        build_state(make_features(settings, pipeline), starting)
    meter = Meter(make_tallies(settings, pipeline))
    meter.start()
    consumer = DirectConsumer(
        client,
        open_outbox(settings.kafka, options, client),
        make_scorer(settings, meter, pipeline),
        pool,
        topic=settings.kafka.topic,
        starting=starting,
        meter=meter,
        reports=reports,
    )
    load_kernels()
    keep_out_of_the_way()
    logger.info("group %s decides %s", options.group, settings.kafka.topic)
    try:
        with shown_metrics(settings, options.metrics_port, pipeline):
            consumer.run(stop, life.decided)
    finally:
        pool.close()
        meter.close()
    return consumer.answered


def starting_offsets(
    settings: Settings, options: DirectOptions, client: Client, stop: threading.Event, life: Life
) -> Mapping[int, int]:
    """Where the group goes on; only for partitions where it never was does `starting` count."""
    partitions = range(settings.kafka.partitions)
    committed = committed_offsets(client, settings.kafka.topic, partitions)
    if len(committed) == len(partitions):
        return committed
    return {**resolve_start(settings, options.starting, stop, life), **committed}


def open_outbox(kafka: KafkaSettings, options: DirectOptions, client: Client) -> Outbox:
    """At-least-once, or with answers and offsets in one transaction."""
    if not options.is_transactional:
        return Outbox(open_sender(kafka))
    identity = f"{options.group}-{socket.gethostname()}-{os.getpid()}"
    producer = make_producer(kafka, **{"linger.ms": 0, "transactional.id": identity})
    producer.init_transactions(30.0)
    sender = cast(TransactionalSender, producer)
    return TransactionalOutbox(sender, kafka.topic, client.consumer_group_metadata)


def committed_offsets(client: Client, topic: str, partitions: Iterable[int]) -> dict[int, int]:
    """What the group has committed, for the partitions where it has."""
    places = client.committed([TopicPartition(topic, p) for p in partitions], 10.0)
    return {p.partition: p.offset for p in places if p.offset != OFFSET_INVALID}


def keep_out_of_the_way() -> None:
    """Have other threads hand the interpreter over soon, and the collector pass over what stays."""
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()


def open_client(kafka: KafkaSettings, group: str, reports: CommitReports) -> Client:
    """A group member that hands out records as soon as they come."""
    config = client_config(
        kafka,
        **{
            "group.id": group,
            "on_commit": reports.add,
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "partition.assignment.strategy": "cooperative-sticky",
            # After so long a killed member's partitions are given away; so are, when the broker was
            # away for longer, those of a member that has to join anew. Less is refused by Kafka.
            "session.timeout.ms": 6_000,
            "heartbeat.interval.ms": 2_000,
            "fetch.wait.max.ms": 500,
            "fetch.min.bytes": 1,
            "queued.max.messages.kbytes": 65_536,
        },
    )
    return cast(Client, Consumer(config))


def open_sender(kafka: KafkaSettings) -> Sender:
    """An idempotent producer that reports failures only; a round's answers travel together."""
    options = {"linger.ms": 0.2, "delivery.report.only.error": True}
    return cast(Sender, make_producer(kafka, **options))
