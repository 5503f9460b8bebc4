"""How far and by whom the stream has decided, read from the ends of Kafka's topics."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

if TYPE_CHECKING:
    from contracts.kafka import OffsetRange
    from contracts.settings import KafkaSettings

TAIL_RECORDS = 200
POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class StreamPosition:
    """Where the stream stands, by partition of the transaction topic.

    `answered` is the offset after the last decision or reject, absent for a partition without any;
    `ends` the offset after the last transaction; `deciders` the model version and tier of the
    newest decisions.
    """

    answered: Mapping[int, int]
    ends: Mapping[int, int]
    deciders: frozenset[tuple[str, str]]

    @property
    def lag(self) -> int:
        """Transactions after the last answer, over the partitions that have answers."""
        return sum(self.ends[partition] - offset for partition, offset in self.answered.items())

    def advanced_from(self, earlier: "StreamPosition") -> bool:
        """Whether any partition has answers to later transactions than before."""
        return any(
            offset > earlier.answered.get(partition, -1)
            for partition, offset in self.answered.items()
        )


def stream_position(
    topic: str,
    decisions: list[dict[str, Any]],
    rejects: list[dict[str, Any]],
    ends: Mapping[int, int],
) -> StreamPosition:
    """Derive the position in `topic` from the last messages of the two answer topics, in order."""
    answered: dict[int, int] = {}
    for answer in (*decisions, *rejects):
        source = answer["source"]
        if source["topic"] != topic:  # labels and outcomes have dead letters too
            continue
        answered[source["partition"]] = max(
            answered.get(source["partition"], 0), source["offset"] + 1
        )
    newest = {decision["source"]["partition"]: decision for decision in decisions}
    deciders = frozenset((row["model_version"], row["tier"]) for row in newest.values())
    return StreamPosition(answered, ends, deciders)


class DecisionLogHook(BaseHook):
    """Reads the last answers of every partition; commits nothing."""

    def __init__(self, kafka: "KafkaSettings") -> None:
        super().__init__()
        self._kafka = kafka

    def position(self) -> StreamPosition:
        """The stream's position now."""
        from contracts.kafka import end_offsets, full_ranges

        return stream_position(
            self._kafka.topic,
            self._last_messages(self._kafka.scores_topic),
            self._last_messages(self._kafka.rejects_topic),
            end_offsets(full_ranges(self._kafka, self._kafka.topic)),
        )

    def _last_messages(self, topic: str) -> list[dict[str, Any]]:
        from contracts.kafka import full_ranges, read_range

        return [
            json.loads(record.value)
            for span in full_ranges(self._kafka, topic)
            for batch in read_range(self._kafka, _tail(span))
            for record in batch
            if record.value is not None
        ]

    def await_progress(self, deadline_seconds: float) -> StreamPosition:
        """Return as soon as answers advance, or nothing is left to answer.

        Raises:
            StackError: nothing was decided within `deadline_seconds` though something was due.
        """
        first = self.position()
        return self._await(
            lambda now: now.advanced_from(first) or (bool(now.answered) and now.lag == 0),
            deadline_seconds,
            "the stream decides nothing",
        )

    def await_decider(self, version: str, deadline_seconds: float) -> StreamPosition:
        """Return as soon as every newest decision is by model `version`.

        Raises:
            StackError: others, or the fallback rules, still decide after `deadline_seconds`.
        """
        expected = frozenset({(version, "model")})
        return self._await(
            lambda now: now.deciders == expected,
            deadline_seconds,
            f"decisions are not by champion {version}",
        )

    def _await(
        self,
        accepted: Callable[[StreamPosition], bool],
        deadline_seconds: float,
        complaint: str,
    ) -> StreamPosition:
        from contracts.errors import StackError

        deadline = time.monotonic() + deadline_seconds
        while not accepted(position := self.position()):
            if time.monotonic() > deadline:
                raise StackError(
                    f"{complaint}, after {deadline_seconds:.0f} s",
                    value=f"lag {position.lag}, newest by {sorted(position.deciders)}",
                    remedy="See `fraud logs stream` and the Spark page",
                )
            time.sleep(POLL_SECONDS)
        return position


def _tail(span: "OffsetRange") -> "OffsetRange":
    return replace(span, start=max(span.start, span.end - TAIL_RECORDS))
