"""The platform's Kafka topics, from the settings."""

from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from contracts.errors import StackError
from contracts.kafka import LETTER_BYTES, client_config, partitions_of, refuse_other_partitions
from contracts.settings import KafkaSettings
from stack.waiting import NotReady


def create_topics(kafka: KafkaSettings) -> None:
    """Every topic of the platform that does not exist yet.

    Raises:
        NotReady: the broker does not answer.
        TopicError: a topic has another number of partitions; that is fixed for its life.
    """
    admin = AdminClient(client_config(kafka))
    try:
        existing = admin.list_topics(timeout=10).topics
    except KafkaException as error:
        raise NotReady(f"no metadata: {error.args[0].str()}") from error
    wanted = topic_table(kafka)
    for name in wanted.keys() & existing.keys():
        refuse_other_partitions(kafka, name, len(existing[name].partitions))
    missing = [
        NewTopic(name, partitions_of(kafka, name), kafka.replication_factor, config=config)
        for name, config in wanted.items()
        if name not in existing
    ]
    for name, future in (admin.create_topics(missing) if missing else {}).items():
        _await_topic(name, future)


def topic_table(kafka: KafkaSettings) -> dict[str, dict[str, str]]:
    """Topic to its configuration."""
    kept = {"retention.ms": str(kafka.retention_ms)}
    names = (
        kafka.topic,
        kafka.outcomes_topic,
        kafka.labels_topic,
        kafka.alerts_topic,
        kafka.shadow_topic,
        kafka.truth_topic,
    )
    # The broker's own time is the time of decision.
    scores = {kafka.scores_topic: kept | {"message.timestamp.type": "LogAppendTime"}}
    letters = {kafka.rejects_topic: kept | {"max.message.bytes": str(LETTER_BYTES)}}
    # Only the newest promise matters.
    frontiers = {kafka.frontiers_topic: {"cleanup.policy": "compact"}}
    return {name: dict(kept) for name in names} | scores | letters | frontiers


def _await_topic(name: str, future: Any) -> None:
    try:
        future.result(timeout=30)
    except KafkaException as error:
        raise StackError(f"topic {name} was not made: {error.args[0].str()}") from error
