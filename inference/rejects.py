"""Dead letters: unreadable records with their coordinates and the reason."""

import base64
from collections.abc import Iterable

import orjson

from contracts.columns import BadRow
from contracts.messages import SCHEMA_VERSION
from inference.records import SourceBatch


def encode_rejects(topic: str, batch: SourceBatch, bad: Iterable[BadRow]) -> list[bytes]:
    """A `Rejected` message as JSON per bad row of the batch."""
    return [_encode(topic, batch, row) for row in bad]


def _encode(topic: str, batch: SourceBatch, row: BadRow) -> bytes:
    raw = batch.values[row.index] or b""
    return orjson.dumps(
        {
            "schema_version": SCHEMA_VERSION,
            "source": {
                "topic": topic,
                "partition": batch.partition,
                "offset": int(batch.offsets[row.index]),
            },
            "error_code": row.code,
            "error_message": _printable(row.message),
            "raw": base64.b64encode(raw).decode(),
        }
    )


def _printable(message: str) -> str:
    # A lone surrogate in the offending value cannot be written as UTF-8.
    return message.encode("utf-8", "backslashreplace").decode()
