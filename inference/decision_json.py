"""Decisions as JSON: whole columns in, one `Decision` message per row out."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import orjson
from numpy.typing import NDArray

from contracts.messages import SCHEMA_VERSION
from contracts.raw_memory import address_of
from contracts.transaction_rows import (
    AMOUNT_MINOR,
    CARD_ID,
    EVENT_TIME,
    TRANSACTION_ID,
    EventRows,
)
from inference import decision_kernel as kernel
from inference.reasons import Reasons

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]

KINDS = ("approve", "review", "decline")
ESCAPED_BYTES = 6
"""What a byte of text takes at most."""


@dataclass(frozen=True, slots=True)
class DecisionColumns:
    """n decisions; `decision` holds positions in `KINDS`.

    `score` is None in the fallback tier, `values` is None when no features were served.
    """

    score: NDArray[np.float64] | None
    decision: NDArray[np.int8]
    reasons: Reasons
    expected_loss_minor: NDArray[np.int64]
    control: NDArray[np.bool_]
    propensity: NDArray[np.float64]
    is_late: NDArray[np.bool_]
    is_duplicate: NDArray[np.bool_]
    values: NDArray[np.float64] | None
    model_version: str
    policy_version: str
    feature_set: str
    tier: str


def encode_decisions(topic: str, events: EventRows, decided: DecisionColumns) -> list[bytes]:
    """A `Decision` message per event; row i of `events` is row i of `decided`."""
    size, reasons = len(events), decided.reasons
    features = np.empty((size, 0)) if decided.values is None else decided.values
    integers, doubles = _integers(events, decided), _doubles(decided, size)
    pieces, bounds = _pieces(
        topic, decided.model_version, decided.feature_set, decided.policy_version, decided.tier
    )
    ready, feature_ready = _ready(doubles), _ready(features)
    written, written_bounds = reasons.written_text()
    room = _room(integers, reasons, len(pieces), len(written), features.shape[1])
    out, ends = np.empty(room, dtype=np.uint8), np.zeros(size + 1, dtype=np.int64)
    kernel.write_decisions(
        address_of(events.rows.text), integers, doubles, address_of(ready),
        reasons.columns, address_of(reasons.of.heads), reasons.of.head_bounds,
        address_of(written), written_bounds, features, address_of(feature_ready),
        address_of(pieces), bounds, address_of(out), ends,
    )  # fmt: skip
    content, places = out[: ends[-1]].tobytes(), ends.tolist()
    return [content[start:end] for start, end in pairwise(places)]


def _integers(events: EventRows, decided: DecisionColumns) -> Ints:
    found = np.empty((len(events), kernel.INTEGERS), dtype=np.int64)
    rows = events.rows
    found[:, kernel.I_TRANSACTION_START : kernel.I_TRANSACTION_END + 1] = rows.spans[
        :, TRANSACTION_ID
    ]
    found[:, kernel.I_CARD_START : kernel.I_CARD_END + 1] = rows.spans[:, CARD_ID]
    found[:, kernel.I_TIME] = rows.numbers[:, EVENT_TIME]
    found[:, kernel.I_AMOUNT] = rows.numbers[:, AMOUNT_MINOR]
    found[:, kernel.I_DECISION] = decided.decision
    found[:, kernel.I_LOSS] = decided.expected_loss_minor
    found[:, kernel.I_PARTITION] = events.partitions
    found[:, kernel.I_OFFSET] = events.offsets
    found[:, kernel.I_LATE] = decided.is_late
    found[:, kernel.I_DUPLICATE] = decided.is_duplicate
    found[:, kernel.I_CONTROL] = decided.control
    found[:, kernel.I_METHOD] = decided.reasons.methods
    found[:, kernel.I_WRITTEN] = decided.reasons.texts
    return found


def _doubles(decided: DecisionColumns, size: int) -> NDArray[np.float64]:
    found = np.empty((size, kernel.DOUBLES))
    found[:, kernel.D_SCORE] = np.nan if decided.score is None else decided.score
    found[:, kernel.D_REASONS : kernel.D_PROPENSITY] = decided.reasons.numbers
    found[:, kernel.D_PROPENSITY] = decided.propensity
    return found


def _ready(matrix: NDArray[np.float64]) -> Bytes:
    """The JSON of all numbers that the kernel leaves to others: one call for a whole matrix."""
    rest = kernel.fractions(matrix)
    return np.frombuffer(orjson.dumps(rest, option=orjson.OPT_SERIALIZE_NUMPY), dtype=np.uint8)


def _room(integers: Ints, reasons: Reasons, piece_bytes: int, written: int, width: int) -> int:
    """More bytes than the records take."""
    spans = integers[:, : kernel.I_CARD_END + 1].sum(axis=0).tolist()
    names = spans[1] - spans[0] + spans[3] - spans[2]
    numbers = kernel.INTEGERS + kernel.DOUBLES + width
    row = piece_bytes + kernel.REASONS * reasons.of.longest_head + numbers * kernel.NUMBER_BYTES
    return int(ESCAPED_BYTES * names) + len(integers) * row + written + 1


@lru_cache(maxsize=64)
def _pieces(
    topic: str, model_version: str, feature_set: str, policy_version: str, tier: str
) -> tuple[Bytes, Ints]:
    """The kernel's pieces, one after the other, and their bounds."""
    fixed = {
        "model_version": model_version,
        "feature_set": feature_set,
        "policy_version": policy_version,
        "tier": tier,
    }
    before_reasons = b'","reasons":['
    pieces = [
        b'{"schema_version":%d,"transaction_id":"' % SCHEMA_VERSION,
        b'","card_id":"',
        b'","event_time":',
        b',"amount_minor":',
        b',"score":',
        b',"decision":"',
        b'],"expected_loss_minor":',
        b"," + orjson.dumps(fixed)[1:-1] + b',"is_late":',
        b',"is_duplicate":',
        b',"control":',
        b',"propensity":',
        b',"source":{"topic":' + orjson.dumps(topic) + b',"partition":',
        b',"offset":',
        b'},"features":[',
        b"]}",
        b"false",
        b"true",
        b',"value":',
        *(kind.encode() + before_reasons for kind in KINDS),
    ]
    return _joined(pieces)


def _joined(pieces: Sequence[bytes]) -> tuple[Bytes, Ints]:
    bounds = np.cumsum([0, *map(len, pieces)]).astype(np.int64)
    return np.frombuffer(b"".join(pieces), dtype=np.uint8), bounds
