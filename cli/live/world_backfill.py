"""The world's past for a demo: `fraud produce backfill` with the demo's way of showing progress."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from contracts.errors import StackError
from contracts.settings import Settings
from producer.lock import sole_publisher
from producer.pace import AtOnce
from producer.publisher import BULK_LINGER_MS, open_publisher
from producer.run import Run, Status, world_of
from producer.spec import DAY_US

_LEAST_DAYS = 1.0

Report = Callable[[str, float | None], None]


class ReportingView:
    """A view that passes a run's progress to a phase ten times a second."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._next = 0.0
        self._began = time.monotonic()

    def update(self, status: Status) -> None:
        """Tell transactions, rate and the share of days done."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + 0.1
        rate = status.transactions / max(now - self._began, 0.1)
        share = status.done_days / status.total_days if status.total_days else None
        self._report(f"{status.transactions:,} transactions, {rate:,.0f}/s", share)


def refuse_without_future(world_us: int, now_us: int) -> None:
    """Refuse to go on with a world that earlier demos have lapsed up to the wall clock.

    Raises:
        StackError: less than a day is left, so that the stream would stand nearly still.
    """
    days_left = (now_us - world_us) / DAY_US
    if days_left < _LEAST_DAYS:
        raise StackError(
            "earlier demos have run this world up to the wall clock, and Kafka takes no records "
            "from the future",
            value=f"{max(days_left, 0):.1f} days left, at least {_LEAST_DAYS:.0f} wanted",
            remedy="Start a fresh world: `make demo ARGS=--fresh`; or follow this one in real "
            "time: `fraud up`, then `fraud produce normal`",
        )


def backfill(root: Path, settings: Settings, report: Report) -> str:
    """Publish what is missing of the world's past; a sentence on what was done."""
    report("preparing the world", None)
    days = settings.world.backfill_days
    with sole_publisher(root / ".fraud" / "run" / "producer.lock"):
        spec = world_of(settings.kafka, settings.world, time.time_ns() // 1000)
        publisher = open_publisher(settings.kafka, linger_ms=BULK_LINGER_MS)
        run = Run(settings.kafka, spec, publisher, ReportingView(report), threading.Event())
        if run.position.resume_day >= days:
            refuse_without_future(run.world_us, time.time_ns() // 1000)
            return f"already there: the world has reached its day {run.position.resume_day}"
        status = run.publish(AtOnce(), total_days=days).status
    there = f", {status.already_there:,} records were there" if status.already_there else ""
    return f"{status.transactions:,} transactions and {status.others:,} labels and truths{there}"
