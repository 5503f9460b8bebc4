"""Compile or load every kernel that deciding needs, ahead of the first batch."""

import numpy as np

from contracts.columns import parse_transactions
from contracts.transaction_rows import EventRows
from features import warm
from features.card_groups import grouped_by_card
from features.definition import FEATURE_SET
from features.encoding import encoded
from features.partitioning import home_partitions
from inference.decision_json import DecisionColumns, encode_decisions
from inference.reasons import ReasonMap, top_reasons

_RECORD = (
    b'{"schema_version":1,"transaction_id":"warm-up","event_time":1700000000000000,'
    b'"card_id":"warm-up","merchant_id":"warm-up","amount_minor":1}'
)


def load_kernels() -> None:
    """Read, serve, explain and write one made-up transaction: seconds on the first run ever."""
    warm.load_kernels()
    rows = parse_transactions([_RECORD]).rows
    none = np.zeros(1, dtype=np.int64)
    events = EventRows(rows, np.zeros(1, dtype=np.int32), none, none)
    home_partitions(rows, 1)
    grouped_by_card(events, encoded(events).hashes)  # bytes that were read are of another type
    values = np.zeros((1, len(FEATURE_SET.features)))
    reasons = top_reasons(values, values + 1.0, ReasonMap.of(FEATURE_SET), "path")
    no, one = np.zeros(1, dtype=np.bool_), np.ones(1)
    decision = np.zeros(1, dtype=np.int8)
    encode_decisions(
        "warm-up",
        events,
        DecisionColumns(one, decision, reasons, none, no, one, no, no, values, "", "", "", ""),
    )
