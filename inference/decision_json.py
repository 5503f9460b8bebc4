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
_FIELDS = (TRANSACTION_ID, CARD_ID, EVENT_TIME, AMOUNT_MINOR)


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
    size, reasons, rows = len(events), decided.reasons, events.rows
    features = np.empty((size, 0)) if decided.values is None else decided.values
    score = np.full(size, np.nan) if decided.score is None else decided.score
    pieces, bounds = _pieces(
        topic, decided.model_version, decided.feature_set, decided.policy_version, decided.tier
    )
    # What the kernel does not write itself a library does, in one call for all records.
    rest = kernel.fractions(score, reasons.numbers, decided.propensity, features)
    ready = np.frombuffer(orjson.dumps(rest, option=orjson.OPT_SERIALIZE_NUMPY), dtype=np.uint8)
    out, ends = kernel.write_decisions(
        address_of(rows.text), rows.spans, rows.numbers, _FIELDS, events.partitions, events.offsets,
        score, decided.decision, decided.expected_loss_minor,
        (decided.is_late, decided.is_duplicate, decided.control), decided.propensity,
        reasons.columns, reasons.numbers, reasons.methods, reasons.texts,
        reasons.of.heads, reasons.of.head_bounds, reasons.of.longest_head, *reasons.written_text(),
        features, ready, pieces, bounds,
    )  # fmt: skip
    content = out.tobytes()
    return [content[start:end] for start, end in pairwise(ends.tolist())]


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
