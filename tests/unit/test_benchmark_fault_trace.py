"""When a fault counts as over: the fault matrix's own arithmetic."""

import numpy as np
from fault_trace import Trace, most_waiting, recovery_seconds

ENDED_MS, RATE = 10_000.0, 10.0
NEVER = float("inf")


def trace(*rows: tuple[float, float, str]) -> Trace:
    """Rows of (sent, decided, version), ms."""
    sent, decided, version = zip(*rows, strict=True)
    return Trace(np.array(sent), np.array(decided), np.array(version), 0, 0, 0)


def seconds(*rows: tuple[float, float, str], version: str = "") -> float | None:
    """The recovery of a trace after a fault that ended at 10 s."""
    return recovery_seconds(trace(*rows), ENDED_MS, rate=RATE, version=version)


def test_what_was_sent_before_the_end_proves_nothing() -> None:
    """A decision counts when its transaction was sent after the fault."""
    assert seconds((9_900, 10_500, "1"), (11_000, 11_400, "1")) == 1.4


def test_a_decision_by_rules_is_no_recovery() -> None:
    """The last one of the rules is before the recovery, however well the queue looks."""
    rows = [(10_100, 10_200, "1"), (12_000, 12_100, ""), (13_000, 13_100, "1")]
    assert seconds(*rows) == 2.1


def test_a_queue_must_be_gone() -> None:
    """While a second's traffic waits, it is no recovery."""
    queue = [(10_000 + n, 15_000.0 + n, "1") for n in range(12)]
    assert seconds((10_050, 11_000, "1"), *queue) == 5.002


def test_a_queue_that_comes_later_counts() -> None:
    """What was decided before the fault was felt is no recovery from it."""
    queue = [(11_000 + n, 15_000.0 + n, "1") for n in range(12)]
    assert seconds((10_050, 10_060, "1"), *queue) == 5.002


def test_a_promoted_version_must_decide() -> None:
    """Where a version is awaited, the old champion's decisions prove nothing."""
    rows = [(10_100, 10_200, "1"), (13_000, 13_100, "2")]
    assert seconds(*rows, version="2") == 3.1
    assert seconds(*rows, version="3") is None


def test_what_the_next_fault_does_is_not_this_ones() -> None:
    """Only what was decided before the next fault counts, for and against."""
    rows = trace((10_100, 10_200, "1"), (12_000, 12_100, ""), (13_000, 13_100, "1"))
    assert recovery_seconds(rows, ENDED_MS, rate=RATE, until_ms=12_000.0) == 0.2
    assert recovery_seconds(rows, ENDED_MS, rate=RATE, until_ms=10_150.0) is None


def test_without_a_decision_there_is_no_recovery() -> None:
    """What was sent after the fault and never decided is no recovery."""
    assert seconds((9_000, 9_100, "1"), (11_000, NEVER, "")) is None


def test_the_longest_queue_is_found() -> None:
    """It counts what was sent and not decided, at any moment from the given one on."""
    rows = [(10_000 + n, 12_000.0 + n, "1") for n in range(30)]
    assert most_waiting(trace(*rows), ENDED_MS) == 30
    assert most_waiting(trace(*rows), 12_500.0) == 0
