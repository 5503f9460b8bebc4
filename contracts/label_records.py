"""Labels without a topic of their own, as the records that they would be: none is known early."""

import numpy as np
import pyarrow as pa

from contracts.columns import SOURCE_SCHEMA
from contracts.messages import LabelSource
from contracts.wire import LABEL_SCHEMA

LABEL_RECORD_SCHEMA = pa.schema([*SOURCE_SCHEMA, *LABEL_SCHEMA])
"""A label with its source: what the feature engine and the training table read."""


def label_records(labels: pa.Table) -> pa.Table:
    """Labels in LABEL_SCHEMA as one partition, in order of label time, which is the timestamp."""
    ordered = labels.take(pa.array(np.argsort(labels["label_time"].to_numpy(), kind="stable")))
    count = len(ordered)
    source = [
        pa.array(np.zeros(count, np.int32)),
        pa.array(np.arange(count)),
        ordered["label_time"],
    ]
    columns = [*source, *(ordered[name] for name in LABEL_SCHEMA.names)]
    return pa.Table.from_arrays(columns, schema=LABEL_RECORD_SCHEMA)


def labels_beside(events: pa.Table) -> pa.Table:
    """The labels that stand beside events as `is_fraud` and `label_time`; null is no label."""
    known = events.filter(events["is_fraud"].is_valid())
    imported = pa.array([LabelSource.IMPORT.value] * len(known), pa.string())
    columns = {name: known[name] for name in LABEL_SCHEMA.names if name != "source"}
    return label_records(pa.table(columns | {"source": imported}, schema=LABEL_SCHEMA))
