"""Where the stream stands, derived from the ends of its answer topics."""

from typing import Any

from plugins.hooks.decision_log import stream_position

TOPIC = "transactions"


def _reject(offset: int, topic: str = TOPIC) -> dict[str, Any]:
    return {"source": {"topic": topic, "partition": 0, "offset": offset}}


def _answer(partition: int, offset: int, version: str = "3", tier: str = "model") -> dict[str, Any]:
    source = {"topic": TOPIC, "partition": partition, "offset": offset}
    return {"source": source, "model_version": version, "tier": tier}


def test_lag_counts_what_waits_after_the_last_answer() -> None:
    """Lag is the number of transactions after the last decision or reject of each partition."""
    position = stream_position(TOPIC, [_answer(0, 9), _answer(1, 4)], [_reject(11)], {0: 15, 1: 5})
    assert position.answered == {0: 12, 1: 5}
    assert position.lag == 3


def test_lag_leaves_out_partitions_without_answers() -> None:
    """A partition without a decision was perhaps never due: the stream starts at a snapshot."""
    assert stream_position(TOPIC, [_answer(0, 9)], [], {0: 10, 1: 1000}).lag == 0


def test_dead_letters_of_other_topics_answer_no_transaction() -> None:
    """A bad label far on in its own topic says nothing about the stream."""
    position = stream_position(TOPIC, [_answer(0, 9)], [_reject(9_000, "labels")], {0: 15})
    assert position.answered == {0: 10}


def test_advance_is_seen_in_any_partition() -> None:
    """Progress in one partition is progress, and a repeat of old answers is none."""
    earlier = stream_position(TOPIC, [_answer(0, 9), _answer(1, 4)], [], {0: 20, 1: 20})
    repeat = stream_position(TOPIC, [_answer(0, 9), _answer(1, 3)], [], {0: 20, 1: 20})
    later = stream_position(TOPIC, [_answer(0, 9), _answer(1, 5)], [], {0: 20, 1: 20})
    assert later.advanced_from(earlier)
    assert not repeat.advanced_from(earlier)
    assert earlier.advanced_from(stream_position(TOPIC, [], [], {0: 20, 1: 20}))


def test_only_the_newest_decision_of_a_partition_says_who_decides() -> None:
    """A version that decided before the swap no longer counts."""
    position = stream_position(
        TOPIC,
        [_answer(0, 8, "2"), _answer(0, 9, "3"), _answer(1, 4, "rules-1", "fallback")],
        [],
        {0: 10, 1: 5},
    )
    assert position.deciders == {("3", "model"), ("rules-1", "fallback")}
