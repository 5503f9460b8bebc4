import io
import time
from pathlib import Path

import pytest
from rich.console import Console

from cli.live.feed import Coverage
from cli.live.phases import LINE_EVERY_SECONDS, Phases
from cli.live.tally import DAY_US, Tally
from cli.live.view import clock_hint, render
from cli.live.world_backfill import refuse_without_future
from contracts.errors import StackError

NOW_MS = 1_760_000_000_000


def decision(number: int, kind: str = "approve", **changes: object) -> dict[str, object]:
    return {
        "transaction_id": f"t{number}",
        "card_id": "c1",
        "event_time": 1_750_000_000_000_000,
        "amount_minor": 1_000,
        "score": 0.1,
        "decision": kind,
        "model_version": "3",
        "tier": "model",
        "is_late": False,
        "is_duplicate": False,
        "source": {"topic": "transactions", "partition": 0, "offset": number},
    } | changes


def label(number: int, *, is_fraud: bool) -> dict[str, object]:
    return {"transaction_id": f"t{number}", "card_id": "c1", "is_fraud": is_fraud}


def add(tally: Tally, row: dict[str, object]) -> None:
    tally.add_decision(row, appended_ms=NOW_MS, age_ms=40)


def test_a_repeated_decision_is_counted_once_and_a_differing_one_is_noticed() -> None:
    """The first decision of a source is the decision; repeats only raise the repeat counters."""
    tally = Tally(maturity_days=10)
    add(tally, decision(1))
    add(tally, decision(1))
    add(tally, decision(1, kind="decline"))
    assert (tally.decided, tally.repeats, tally.differing_repeats) == (1, 2, 1)
    assert tally.decisions == {"approve": 1}


def test_a_fraud_is_confirmed_whichever_of_label_and_decision_comes_first() -> None:
    """Labels and decisions come from two topics, so either may be read first."""
    tally = Tally(maturity_days=10)
    tally.add_label(label(1, is_fraud=True))
    add(tally, decision(1, kind="decline"))
    add(tally, decision(2))
    tally.add_label(label(2, is_fraud=True))
    assert tally.confirmed == {"decline": 1, "approve": 1}


def test_a_correction_takes_a_confirmed_fraud_back() -> None:
    """A label that turns to no fraud lowers the count and the money of its decision."""
    tally = Tally(maturity_days=10)
    add(tally, decision(1, kind="review"))
    tally.add_label(label(1, is_fraud=True))
    tally.add_label(label(1, is_fraud=False))
    assert tally.confirmed["review"] == 0
    assert tally.confirmed_money_minor["review"] == 0


def test_recall_counts_only_matured_transactions() -> None:
    """A fraud younger than the maturity may still be joined by others, so it is left out."""
    tally = Tally(maturity_days=10)
    add(tally, decision(1, kind="decline"))
    add(tally, decision(2, kind="approve"))
    tally.add_label(label(1, is_fraud=True))
    tally.add_label(label(2, is_fraud=True))
    assert tally.matured_recall() == (0, 0)
    add(tally, decision(3, event_time=1_750_000_000_000_000 + 10 * DAY_US))
    assert tally.matured_recall() == (1, 2)


def test_latency_is_append_time_minus_send_time() -> None:
    """The percentiles are in milliseconds from the producer's send to the broker's append."""
    tally = Tally(maturity_days=10)
    add(tally, decision(1))
    tally.add_decision(decision(2), appended_ms=NOW_MS + 140, age_ms=40)
    latency = tally.latency()
    assert latency is not None
    assert latency.p50 == 40


def test_a_backlog_from_before_the_stream_is_no_latency() -> None:
    """What was sent before the first decision waited for the stream's start and is left out."""
    tally = Tally(maturity_days=10)
    tally.add_decision(decision(1), appended_ms=NOW_MS, age_ms=30_000)
    tally.add_decision(decision(2), appended_ms=NOW_MS + 1, age_ms=20_001)
    assert tally.latency() is None


def test_the_view_draws_before_the_first_decision_and_after() -> None:
    """An empty tally and a full one both draw, with the counts in the picture."""
    for count in (0, 3):
        tally = Tally(maturity_days=10)
        for number in range(count):
            add(tally, decision(number, kind="decline"))
        console = Console(file=io.StringIO(), width=120)
        console.print(render(tally, now_ms=NOW_MS, lag=7, hint="Ctrl-C stops"))
        assert "decline" in console.file.getvalue()  # type: ignore[attr-defined]


def test_coverage_names_what_nobody_answered() -> None:
    """A record is answered by a decision or a rejection; the rest is counted."""
    coverage = Coverage()
    coverage.decided[0] |= {5, 6}
    coverage.rejected[0].add(7)
    assert coverage.unanswered({0: 5}, {0: 8}) == 0
    assert coverage.unanswered({0: 5}, {0: 10}) == 2


def test_a_phase_off_the_terminal_speaks_within_five_seconds(tmp_path: Path) -> None:
    """Without a terminal a running phase prints a line again and again, sooner than that."""
    assert LINE_EVERY_SECONDS < 5
    out = io.StringIO()
    phases = Phases(Console(file=out, width=120), tmp_path / "times.json", line_every_seconds=0.1)
    deadline = time.monotonic() + 5
    with phases.phase("train", 20) as phase:
        phase.update("feature table")
        while "feature table" not in out.getvalue() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert "feature table" in out.getvalue()
        assert "left" in out.getvalue()


def test_a_phase_remembers_how_long_it_took(tmp_path: Path) -> None:
    """The next run's estimate is this run's duration."""
    memory = tmp_path / "times.json"
    with Phases(Console(file=io.StringIO()), memory).phase("start", 99) as first:
        assert "about 99 s left" in first.line()
    with Phases(Console(file=io.StringIO()), memory).phase("start", 99) as second:
        assert "longer than usual" in second.line()


def test_the_view_says_when_the_world_has_caught_up() -> None:
    """Far behind the wall clock the hint stands alone; near it the view says why it is slow."""
    tally = Tally(maturity_days=10)
    assert clock_hint(tally, NOW_MS, "Ctrl-C stops") == "Ctrl-C stops"
    tally.world_time_us = NOW_MS * 1000 - 60_000_000
    assert "--fresh" in clock_hint(tally, NOW_MS, "Ctrl-C stops")


def test_a_world_without_a_future_is_refused_before_training() -> None:
    """A world that earlier demos have used up ends the demo with what to do, not in a stall."""
    refuse_without_future(NOW_MS * 1000 - 2 * DAY_US, NOW_MS * 1000)
    with pytest.raises(StackError, match="--fresh"):
        refuse_without_future(NOW_MS * 1000 - DAY_US // 2, NOW_MS * 1000)
