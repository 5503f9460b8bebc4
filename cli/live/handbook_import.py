"""The Handbook's table for a demo: `fraud import` with the demo's way of showing progress."""

import threading
from collections.abc import Callable
from pathlib import Path

from contracts.settings import Settings
from producer.lock import sole_publisher
from producer.table_import import ImportStatus, import_table
from producer.table_plan import ImportOptions, ImportReport

Report = Callable[[str, float | None], None]


def import_handbook(
    root: Path,
    settings: Settings,
    file: Path,
    report: Report,
    *,
    last_days: float,
    until_us: int | None,
    rate: float | None,
    stop: threading.Event,
) -> ImportReport:
    """Import the table's last days up to `until_us`, or the rest of them at a rate."""
    options = ImportOptions(
        file=file,
        mapping=root / "config" / "mappings" / "handbook.yaml",
        rejects=root / "logs" / f"{file.name}.rejects.jsonl",
        last_days=last_days,
        until_us=until_us,
        rate=rate,
    )

    def tell(status: ImportStatus) -> None:
        share = status.done / status.total if status.total else None
        report(f"{status.phase}: {status.done:,} rows", share)

    with sole_publisher(root / ".fraud" / "run" / "producer.lock"):
        return import_table(settings, options, tell, stop=stop)
