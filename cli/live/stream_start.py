"""Where the stream's very first batch began: kept by Spark in the checkpoint, for good."""

import json
from pathlib import Path

from contracts.errors import StateError


def stream_start(root: Path, topic: str) -> dict[int, int]:
    """Partition to the first offset that the stream had to answer.

    Raises:
        StateError: the stream has not begun, so nothing says where it should have.
    """
    path = root / ".fraud" / "data" / "stream" / "checkpoint" / "sources" / "0" / "0"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise StateError(
            "the stream has no checkpoint yet", value=str(path), remedy="See `fraud logs stream`"
        ) from error
    offsets = json.loads(text[text.index("{") :])[topic]
    return {int(partition): int(offset) for partition, offset in offsets.items()}
