"""What of a table is to be published: options, a selection in time, and the counts of it."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from contracts.errors import DataError
from producer.table_spool import Spool

DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What the user asked for; times in microseconds since the epoch.

    `since_us` or `last_days` cut the beginning off for good; `until_us` holds the end back for a
    later run. `rate` is in records per second, `speed` in file seconds per second; without
    either the records go out as fast as Kafka takes them.
    """

    file: Path
    mapping: Path
    rejects: Path
    since_us: int | None = None
    until_us: int | None = None
    last_days: float | None = None
    limit: int | None = None
    rate: float | None = None
    speed: float | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Selection:
    """Transactions with `since_us <= event_time < until_us`, and their labels before `until_us`.

    Nothing later than the wall clock goes out: Kafka would refuse it.
    """

    since_us: int
    until_us: int


@dataclass(frozen=True, slots=True)
class ImportReport:
    """Where every row and every label went. Times are those of the selected transactions."""

    rows_read: int
    rows_rejected: int
    rows_before_since: int
    rows_held_back: int
    rows_already_there: int
    rows_published: int
    labels_already_there: int
    labels_published: int
    labels_held_back: int
    first_us: int
    last_us: int
    until_us: int
    seconds: float
    is_complete: bool

    @property
    def rows_to_publish(self) -> int:
        """Rows that the selection asks for, there or not."""
        kept_out = self.rows_rejected + self.rows_before_since + self.rows_held_back
        return self.rows_read - kept_out

    @property
    def is_exact(self) -> bool:
        """Whether every row that was read is accounted for."""
        return self.rows_to_publish == self.rows_already_there + self.rows_published

    def as_dict(self) -> dict[str, object]:
        """The counts under their names, for JSON."""
        return asdict(self) | {"is_exact": self.is_exact}


def select(spool: Spool, options: ImportOptions, now_us: int) -> Selection:
    """Turn options into times.

    Raises:
        DataError: they select nothing.
    """
    first_us, last_us = spool.events.span() or (0, 0)
    since_us = first_us if options.since_us is None else options.since_us
    if options.last_days is not None:
        since_us = last_us + 1 - round(options.last_days * DAY_US)
    until_us = now_us if options.until_us is None else min(options.until_us, now_us)
    if spool.events.count(since_us, until_us) == 0:
        raise DataError(
            "no transaction lies between the dates asked for",
            value=f"{np.datetime64(since_us, 'us')} to {np.datetime64(until_us, 'us')}",
            remedy=f"The file's go from {np.datetime64(first_us, 'us')} to "
            f"{np.datetime64(last_us, 'us')}, UTC",
        )
    return Selection(since_us, until_us)


def check_options(options: ImportOptions) -> None:
    """Raise DataError when options contradict each other or make no sense."""
    if options.since_us is not None and options.last_days is not None:
        raise DataError("--since and --last-days both set the beginning", remedy="Give one of them")
    if options.rate is not None and options.speed is not None:
        raise DataError("--rate and --speed both set the pace", remedy="Give one of them")
    for name in ("rate", "speed", "limit", "last_days"):
        value = getattr(options, name)
        if value is not None and not 0 < value < float("inf"):
            raise DataError(f"--{name.replace('_', '-')} must be more than 0", value=value)


def planned(spool: Spool, selection: Selection) -> ImportReport:
    """The counts before anything is published."""
    events = spool.events
    first_us, last_us = selection.since_us, selection.since_us
    for table in events.windows(selection.since_us, selection.until_us):
        last_us = table["event_time"][-1].as_py()
    held_back = events.count(max(selection.since_us, selection.until_us), None)
    return ImportReport(
        rows_read=spool.rows_read,
        rows_rejected=spool.rows_rejected,
        rows_before_since=events.count(None, selection.since_us),
        rows_held_back=held_back,
        rows_already_there=0,
        rows_published=0,
        labels_already_there=0,
        labels_published=0,
        labels_held_back=_labels_held_back(spool, selection),
        first_us=first_us,
        last_us=last_us,
        until_us=selection.until_us,
        seconds=0.0,
        is_complete=False,
    )


def _labels_held_back(spool: Spool, selection: Selection) -> int:
    return sum(
        int((table["event_time"].to_numpy() >= selection.since_us).sum())
        for table in spool.labels.windows(selection.until_us, None)
    )
