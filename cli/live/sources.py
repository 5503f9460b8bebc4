"""Where a demo's transactions come from: the synthetic world, or the Handbook's table."""

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from contracts.errors import DataError, FraudError
from contracts.settings import Settings

Report = Callable[[str, float | None], None]
HANDBOOK_DAYS = 90.0
HANDBOOK_END = datetime(2018, 10, 1, tzinfo=UTC)
HANDBOOK_LIVE_DAYS = 4
HANDBOOK_RATE = 600.0


class Source(Protocol):
    """A supply of transactions with labels: first a history, then a live stream."""

    name: str
    maturity_days: int
    minimum_decisions: int

    @property
    def training(self) -> Mapping[str, Any]:
        """The training DAG's parameters that suit this history."""

    def backfill(self, settings: Settings, report: Report) -> str:
        """Publish the history, or what is missing of it; a sentence on what was done."""

    def go_live(self, settings: Settings) -> None:
        """Begin the live stream; returns at once."""

    def stop(self, settings: Settings) -> None:
        """End the live stream and wait until nothing more will be sent.

        Raises:
            FraudError: the live stream failed.
        """

    def abandon(self) -> None:
        """End the live stream on the way out; never raises."""


class WorldSource:
    """The synthetic world: a backfill by this process, then the supervised time-lapse."""

    name = "world"
    maturity_days = 10
    minimum_decisions = 500

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def training(self) -> Mapping[str, Any]:
        """Labels of this world arrive within ten days in 95 % of cases."""
        return {"maturity_days": self.maturity_days}

    def backfill(self, settings: Settings, report: Report) -> str:
        """Publish the world's past days."""
        from cli.live.world_backfill import backfill

        return backfill(self._root, settings, report)

    def go_live(self, settings: Settings) -> None:
        """Start the time-lapse under supervision."""
        from cli.live.stack_control import start_service

        start_service(self._root, "producer")

    def stop(self, settings: Settings) -> None:
        """Stop the time-lapse and wait for its end."""
        from cli.live.stack_control import stop_service

        stop_service(self._root, "producer")

    def abandon(self) -> None:
        """The supervisor ends the time-lapse with everything else."""


class HandbookSource:
    """The Fraud-Detection-Handbook's last 90 days: a history, then its last days at a rate."""

    name = "handbook"
    maturity_days = 7
    minimum_decisions = 20_000

    def __init__(self, root: Path, file: Path) -> None:
        if not file.exists():
            raise DataError(
                "the Handbook's transactions are not there",
                value=str(file),
                remedy="Make the file with benchmarks/make_handbook_file.py, and name it: --file F",
            )
        self._root = root
        self._file = file
        self._thread: threading.Thread | None = None
        self._failure: FraudError | None = None
        self._halt = threading.Event()

    @property
    def training(self) -> Mapping[str, Any]:
        """A compromise comes to light after seven days."""
        return {"maturity_days": self.maturity_days, "train_days": 35}

    def backfill(self, settings: Settings, report: Report) -> str:
        """Import everything but the last days."""
        held_back_us = round(HANDBOOK_END.timestamp() * 1e6) - HANDBOOK_LIVE_DAYS * 86_400_000_000
        done = self._import(settings, report, until_us=held_back_us, rate=None)
        if not done.is_exact:
            raise DataError("rows of the table are unaccounted for", value=done.as_dict())
        return (
            f"{done.rows_published:,} transactions published, {done.rows_already_there:,} were "
            f"there, {done.rows_rejected:,} rejected, {done.labels_published:,} labels"
        )

    def go_live(self, settings: Settings) -> None:
        """Import the last days at a rate, in a thread."""
        self._thread = threading.Thread(target=self._trickle, args=(settings,), daemon=True)
        self._thread.start()

    def _trickle(self, settings: Settings) -> None:
        try:
            self._import(settings, lambda *_: None, until_us=None, rate=HANDBOOK_RATE)
        except FraudError as error:
            self._failure = error

    def stop(self, settings: Settings) -> None:
        """Wait for what was taken up to be sent, then for the thread's end."""
        self.abandon()
        if self._failure is not None:
            raise self._failure

    def abandon(self) -> None:
        """Ask the thread to end and wait for it."""
        self._halt.set()
        if self._thread is not None:
            self._thread.join(timeout=60)

    def _import(
        self, settings: Settings, report: Report, *, until_us: int | None, rate: float | None
    ) -> Any:
        from cli.live.handbook_import import import_handbook

        return import_handbook(
            self._root,
            settings,
            self._file,
            report,
            last_days=HANDBOOK_DAYS,
            until_us=until_us,
            rate=rate,
            stop=self._halt,
        )
