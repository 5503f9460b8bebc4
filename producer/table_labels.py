"""Labels from the columns of a foreign table: fraud or not, and when that was known."""

import hashlib
import math
from statistics import NormalDist

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from producer import table_columns as read
from producer.table_spec import DelayDistribution, LabelSpec, TableMapping
from producer.table_verdicts import Verdicts

DAY_US = 86_400_000_000
_P95_Z = NormalDist().inv_cdf(0.95)


def label_columns(
    columns: dict[str, pa.Array],
    mapped: dict[str, pa.Array],
    mapping: TableMapping,
    verdicts: Verdicts,
) -> dict[str, pa.Array]:
    """`is_fraud` and `label_time`; both null where there is no label to publish."""
    spec, count = mapping.label, len(mapped["transaction_id"])
    if spec is None:
        return {"is_fraud": pa.nulls(count, pa.bool_()), "label_time": pa.nulls(count, pa.int64())}
    is_fraud = read.is_one_of(columns[spec.column], spec.fraud_values)
    if spec.publish == "frauds":
        is_fraud = pc.if_else(is_fraud, is_fraud, None)
    if spec.time_column is not None:
        label_time = read.time_us(columns[spec.time_column], mapping.time)
        _object(is_fraud, label_time, mapped["event_time"], verdicts)
    else:
        delay = _delay_us(mapped["transaction_id"], is_fraud, spec)
        label_time = pc.add(mapped["event_time"], delay)
    label_time = pc.if_else(pc.is_valid(is_fraud), label_time, None)
    return {"is_fraud": is_fraud, "label_time": label_time}


def _object(
    is_fraud: pa.Array, label_time: pa.Array, event_time: pa.Array, verdicts: Verdicts
) -> None:
    has_label = pc.is_valid(is_fraud)
    untimed = pc.and_(has_label, pc.is_null(label_time))
    verdicts.refuse(untimed, "bad_label_time", "the label has no usable time")
    early = pc.and_(has_label, pc.less(label_time, event_time))
    verdicts.refuse(early, "label_before_event", "the label is older than the transaction")


def _delay_us(transaction_id: pa.Array, is_fraud: pa.Array, spec: LabelSpec) -> pa.Array:
    if spec.delay_distribution is None:
        delay = round((spec.delay_days or 0.0) * DAY_US)
        return pa.array(np.full(len(transaction_id), delay))
    delays = np.zeros(len(transaction_id), dtype=np.int64)
    for place in np.flatnonzero(~read.is_null(is_fraud)):
        delays[place] = drawn_delay_us(transaction_id[place].as_py() or "", spec.delay_distribution)
    return pa.array(delays)


def drawn_delay_us(transaction_id: str, spec: DelayDistribution) -> int:
    """The delay of one label in microseconds: the same for the same id, in any order and run."""
    digest = hashlib.blake2b(transaction_id.encode(), digest_size=8).digest()
    uniform = (int.from_bytes(digest) + 0.5) / 2**64
    sigma = math.log(spec.p95_days / spec.median_days) / _P95_Z
    z = NormalDist().inv_cdf(min(max(uniform, 1e-9), 1 - 1e-9))
    return round(spec.median_days * math.exp(sigma * z) * DAY_US)
