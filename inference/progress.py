"""One log line every few seconds about what the query does."""

import logging
from collections.abc import Mapping
from typing import Any

logger = logging.getLogger(__name__)


def log_progress(progress: Mapping[str, Any] | None, said: int) -> int:
    """Say rate, batch time and lag of the last micro-batch, unless `said` is its id; its id."""
    if progress is None or progress["batchId"] == said:
        return said
    logger.info("%s", progress_line(progress))
    batch_id: int = progress["batchId"]
    return batch_id


def progress_line(progress: Mapping[str, Any]) -> str:
    """The last micro-batch in one line."""
    spent = progress.get("durationMs") or {}
    return (
        f"batch {progress['batchId']}: {progress['numInputRows']} events, "
        f"{progress.get('processedRowsPerSecond') or 0.0:.0f}/s, "
        f"{spent.get('triggerExecution', 0)} ms (scoring and writing {spent.get('addBatch', 0)}), "
        f"{lag(progress)} waiting"
    )


def lag(progress: Mapping[str, Any]) -> int:
    """Records in the topic that the last micro-batch did not reach."""
    return sum(
        _difference(source.get("latestOffset"), source.get("endOffset"))
        for source in progress.get("sources") or ()
    )


def _difference(latest: Any, end: Any) -> int:
    if not isinstance(latest, Mapping) or not isinstance(end, Mapping):
        return 0
    return sum(
        max(0, offset - end.get(topic, {}).get(partition, offset))
        for topic, partitions in latest.items()
        for partition, offset in partitions.items()
    )
