"""Labels, outcomes and decisions in columns; see `contracts.wire`."""

from contracts.wire import (
    DECISION_SCHEMA,
    DECISIONS,
    LABEL_SCHEMA,
    LABELS,
    OUTCOME_SCHEMA,
    OUTCOMES,
    ParsedRecords,
    WireFormat,
    parse_records,
)

__all__ = [
    "DECISIONS",
    "DECISION_SCHEMA",
    "LABELS",
    "LABEL_SCHEMA",
    "OUTCOMES",
    "OUTCOME_SCHEMA",
    "ParsedRecords",
    "WireFormat",
    "parse_records",
]
