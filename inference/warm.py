"""Compile or load every kernel that deciding needs, ahead of the first batch."""

import numpy as np

from contracts.columns import parse_transactions
from contracts.transaction_rows import EventRows
from features import warm
from features.card_groups import grouped_by_card
from features.clocks import clocks_of_batch
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
    """Read, serve, explain and write made-up transactions: seconds on the first run ever.

    One, then two, as `features.warm` does.
    """
    warm.load_kernels()
    for count in (1, 2):
        _decide(count)


def _decide(count: int) -> None:
    rows = parse_transactions([_RECORD] * count).rows
    sources = np.arange(count)
    events = EventRows(rows, np.zeros(count, dtype=np.int32), sources, sources)
    rows.array("country")  # as rules read it
    home_partitions(rows, 1)
    # What was read from records is of other types than what comes from a table.
    grouped_by_card(events, encoded(events).hashes)
    clocks_of_batch(sources, events.partitions, np.zeros(1, dtype=np.int64))
    values = np.zeros((count, len(FEATURE_SET.features)))
    reasons = top_reasons(values, values + 1.0, ReasonMap.of(FEATURE_SET), "path")
    no, one = np.zeros(count, dtype=np.bool_), np.ones(count)
    none, decision = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int8)
    encode_decisions(
        "warm-up",
        events,
        DecisionColumns(one, decision, reasons, none, no, one, no, no, values, "", "", "", ""),
    )
