"""What Kafka says after a fault: what was lost, what was decided twice, when all was well again."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from confluent_kafka import TopicPartition
from numpy.typing import NDArray

from contracts.kafka import full_ranges, make_reader
from contracts.settings import Settings
from inference.decisions import FirstDecisions, source_of

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Trace:
    """Every transaction of a topic, with its first decision; times are ms of this machine's clock.

    `decided_ms` is when the decision was appended, infinite without one; `version` is the model's,
    empty where the rules decided. `lost` have neither decision nor rejection. `differing` counts
    decision records that differ from the first of their source, `repeats` those and the equal ones.
    """

    sent_ms: Floats
    decided_ms: Floats
    version: NDArray[np.str_]
    lost: int
    differing: int
    repeats: int


def read_trace(settings: Settings) -> Trace:
    """Read the transaction, score and reject topics from end to end."""
    kafka = settings.kafka
    sent = {
        (kafka.topic, message.partition(), message.offset()): _sent_ms(message)
        for message in messages(settings, kafka.topic)
    }
    rows = {source: row for row, source in enumerate(sent)}
    decided, version = np.full(len(rows), np.inf), np.full(len(rows), "", dtype="U32")
    seen = FirstDecisions()
    for message in messages(settings, kafka.scores_topic):
        decision = seen.add(message.value())
        if decision is not None:
            row = rows[source_of(decision)]
            decided[row] = message.timestamp()[1]
            version[row] = decision["model_version"] if decision["tier"] == "model" else ""
    rejected = {
        source_of(orjson.loads(message.value()))
        for message in messages(settings, kafka.rejects_topic)
    }
    lost = len(rows.keys() - seen.sources() - rejected)
    sent_ms = np.fromiter(sent.values(), np.float64, len(sent))
    return Trace(sent_ms, decided, version, lost, seen.differing, seen.repeats)


def messages(settings: Settings, topic: str) -> Iterator[Any]:
    """All that a topic holds now, each partition in order."""
    consumer = make_reader(settings.kafka, **{"enable.partition.eof": False})
    spans = full_ranges(settings.kafka, topic)
    consumer.assign([TopicPartition(topic, s.partition, s.start) for s in spans])
    left = sum(span.end - span.start for span in spans)
    while left > 0:
        for message in consumer.consume(10_000, timeout=1.0):
            left -= 1
            yield message
    consumer.close()


def _sent_ms(message: Any) -> float:
    return int(dict(message.headers())["sent_us"]) / 1000


def recovery_seconds(
    trace: Trace, ended_ms: float, *, rate: float, until_ms: float = np.inf, version: str = ""
) -> float | None:
    """From the end of a fault until all is well and stays so; None: not by `until_ms`.

    All is well when something that was sent after the fault has been decided by the model (by
    `version`, if it is given), the rules decide nothing any more, and less than a second's worth of
    what was sent waits for its decision. What a fault does may come after its end: the queue's last
    time of more than that counts.
    """
    is_seen = trace.decided_ms < until_ms
    is_fresh = is_seen & (trace.sent_ms >= ended_ms)
    is_fresh &= trace.version == version if version else trace.version != ""
    if not is_fresh.any():
        return None
    last_ruled = np.max(trace.decided_ms[is_seen & (trace.version == "")], initial=ended_ms)
    changes = np.concatenate([trace.sent_ms, trace.decided_ms[is_seen]])
    changes = changes[(changes >= ended_ms) & (changes < until_ms)]
    last_queue = np.max(changes[waiting(trace, changes) >= rate], initial=ended_ms)
    earliest = max(float(trace.decided_ms[is_fresh].min()), float(last_ruled), float(last_queue))
    moments = np.sort(trace.decided_ms[is_seen])
    moments = moments[moments >= earliest]
    well = moments[waiting(trace, moments) < rate]
    return round(float(well[0] - ended_ms) / 1000, 3) if len(well) else None


def waiting(trace: Trace, moments: Floats) -> NDArray[np.int64]:
    """How many transactions had been sent and not decided at each moment."""
    sent, decided = np.sort(trace.sent_ms), np.sort(trace.decided_ms)
    found: NDArray[np.int64] = np.searchsorted(sent, moments, "right") - np.searchsorted(
        decided, moments, "right"
    )
    return found


def most_waiting(trace: Trace, since_ms: float) -> int:
    """The longest queue from a moment on, looked at ten times a second."""
    last = trace.decided_ms[np.isfinite(trace.decided_ms)].max()
    return int(waiting(trace, np.arange(since_ms, last, 100.0)).max(initial=0))
