"""Dead letters of a batch: unreadable records with their coordinates and the reason."""

from collections.abc import Iterable

from contracts.columns import BadRow
from contracts.rejections import rejected_json
from inference.records import SourceBatch


def encode_rejects(topic: str, batch: SourceBatch, bad: Iterable[BadRow]) -> list[bytes]:
    """A `Rejected` message as JSON per bad row of the batch."""
    return [
        rejected_json(
            topic,
            int(batch.partitions[row.index]),
            int(batch.offsets[row.index]),
            batch.values[row.index],
            row,
        )
        for row in bad
    ]
