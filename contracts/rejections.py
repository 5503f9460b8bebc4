"""Dead letters as they are written: a record's bytes, its coordinates and why it was refused."""

import base64

import orjson

from contracts.columns import BadRow
from contracts.messages import SCHEMA_VERSION


def rejected_json(topic: str, partition: int, offset: int, raw: bytes | None, bad: BadRow) -> bytes:
    """A `Rejected` message for the record at these coordinates."""
    return orjson.dumps(
        {
            "schema_version": SCHEMA_VERSION,
            "source": {"topic": topic, "partition": partition, "offset": offset},
            "error_code": bad.code,
            "error_message": _printable(bad.message),
            "raw": base64.b64encode(raw or b"").decode(),
        }
    )


def _printable(message: str) -> str:
    # A lone surrogate in the offending value cannot be written as UTF-8.
    return message.encode("utf-8", "backslashreplace").decode()
