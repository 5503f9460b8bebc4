"""What the snapshot operator tells its log."""

import logging

import pytest

from plugins.operators.snapshot import StepLog


def _lines(caplog: pytest.LogCaptureFixture, total: int, batch: int) -> list[str]:
    caplog.clear()
    log = logging.getLogger("snapshot-test")
    with caplog.at_level(logging.INFO, logger=log.name):
        steps = StepLog(log)
        for done in range(batch, total + 1, batch):
            steps("transactions", done, total)
    return caplog.messages


def test_progress_of_any_size_is_about_twenty_lines(caplog: pytest.LogCaptureFixture) -> None:
    """A huge topic does not flood the log, and the last line says that all is read."""
    lines = _lines(caplog, total=100_000, batch=10)
    assert len(lines) == 20
    assert lines[-1] == "transactions: 100000 of 100000 records (100 %)"


def test_a_small_topic_reports_each_batch(caplog: pytest.LogCaptureFixture) -> None:
    """Few batches are few lines."""
    assert len(_lines(caplog, total=40, batch=10)) == 4
