"""What is known about each transaction at a cut: labels, corrections, declines, control group.

Only labels with `label_time <= cut` exist at a cut; the newest by (label_time, offset) counts. A
transaction without a label is legitimate once it is mature, unless it was declined: then nobody
will ever know, and it is neither.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contracts.messages import DecisionKind, OutcomeKind

UNKNOWN = -1
_NEVER = np.iinfo(np.int64).max
_STOPPED = (OutcomeKind.DECLINED.value, OutcomeKind.STEP_UP_FAILED.value)


@dataclass(frozen=True, slots=True)
class LabelLog:
    """Every label that belongs to a transaction, as row number of the events, oldest first."""

    row: NDArray[np.int64]
    label_time: NDArray[np.int64]
    is_fraud: NDArray[np.bool_]
    unmatched: int

    def known(self, count: int, cut_us: int) -> NDArray[np.int8]:
        """Per event: 1 fraud, 0 cleared, UNKNOWN without a label at the cut."""
        seen = self.label_time <= cut_us
        state = np.full(count, UNKNOWN, dtype=np.int8)
        state[self.row[seen]] = self.is_fraud[seen]  # the last write, the newest label, stays
        return state

    def first_fraud(self, card: NDArray[np.int64]) -> NDArray[np.int64]:
        """Per event: when its card was first known as compromised; far future if never."""
        first = np.full(int(card.max(initial=-1)) + 1, _NEVER, dtype=np.int64)
        rows = self.row[self.is_fraud]
        np.minimum.at(first, card[rows], self.label_time[self.is_fraud])
        return first[card]


def match_labels(events: pa.Table, labels: pa.Table) -> LabelLog:
    """Join labels to events by card and transaction id; a duplicate's label goes to its first."""
    found = pc.index_in(_key(labels), value_set=_key(events))
    row = pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    time = labels["label_time"].to_numpy()
    order = np.lexsort((labels["offset"].to_numpy(), time))
    order = order[row[order] >= 0]
    fraud = labels["is_fraud"].to_numpy(zero_copy_only=False).astype(bool)
    return LabelLog(row[order], time[order], fraud[order], int((row < 0).sum()))


def _key(table: pa.Table) -> pa.Array:
    joined = pc.binary_join_element_wise(table["card_id"], table["transaction_id"], "\x1f")
    return joined.combine_chunks() if isinstance(joined, pa.ChunkedArray) else joined


@dataclass(frozen=True, slots=True)
class Treatment:
    """Per event: was it stopped (so its truth stays hidden), and with which weight it speaks."""

    is_stopped: NDArray[np.bool_]
    weight: NDArray[np.float64]


def read_treatment(
    events: pa.Table, decisions: pa.Table, outcomes: pa.Table, topic: str
) -> Treatment:
    """From decisions and outcomes: declines are stopped, let-through ones speak for the others."""
    is_stopped = np.zeros(len(events), dtype=bool)
    weight = np.ones(len(events), dtype=np.float64)
    row, first = _decided_rows(events, decisions, topic)
    control = first["control"].to_numpy(zero_copy_only=False).astype(bool)
    declined = pc.equal(first["decision"], DecisionKind.DECLINE.value)
    is_stopped[row] = declined.to_numpy(zero_copy_only=False) & ~control
    propensity = first["propensity"].to_numpy()[control]
    weight[row[control]] = 1.0 / np.clip(propensity, 1e-6, 1.0)
    stopped = outcomes.filter(pc.is_in(outcomes["outcome"], pa.array(_STOPPED)))
    found = pc.fill_null(pc.index_in(_key(stopped), value_set=_key(events)), -1)
    rows = found.to_numpy(zero_copy_only=False)
    is_stopped[rows[rows >= 0]] = True
    return Treatment(is_stopped, weight)


def _decided_rows(
    events: pa.Table, decisions: pa.Table, topic: str
) -> tuple[NDArray[np.int64], pa.Table]:
    """The first decision of each event, with the event's row number."""
    source = decisions["source"].combine_chunks()
    ours = pc.equal(pc.struct_field(source, "topic"), topic)
    chosen = decisions.filter(ours)
    source = chosen["source"].combine_chunks()
    identity = _identity(pc.struct_field(source, "partition"), pc.struct_field(source, "offset"))
    _, first = np.unique(identity, return_index=True)
    positions = _identity(events["partition"], events["offset"])
    order = np.argsort(positions, kind="stable")
    slot = np.searchsorted(positions, identity[first], sorter=order)
    row = order[np.minimum(slot, len(order) - 1)] if len(order) else slot
    real = positions[row] == identity[first] if len(order) else np.zeros(len(first), dtype=bool)
    return row[real], chosen.take(pa.array(first[real]))


def _identity(partition: pa.Array, offset: pa.Array) -> NDArray[np.int64]:
    """Partition and offset in one integer; offsets stay below 2**48."""
    number: NDArray[np.int64] = (
        partition.to_numpy(zero_copy_only=False).astype(np.int64) << 48
    ) | offset.to_numpy(zero_copy_only=False).astype(np.int64)
    return number


@dataclass(frozen=True, slots=True)
class Knowledge:
    """Per event at a cut: target (UNKNOWN where nothing is known) and whether it may judge."""

    target: NDArray[np.int8]
    is_evaluated: NDArray[np.bool_]


def knowledge_at(
    log: LabelLog,
    treatment: Treatment,
    event_time: NDArray[np.int64],
    cut_us: int,
    maturity_us: int,
) -> Knowledge:
    """Labels at a cut for mature transactions.

    A stopped transaction is known only if someone investigated it. It then trains, but it does not
    judge: those looked into are no sample of those stopped; the control group is.
    """
    state = log.known(len(event_time), cut_us)
    is_mature = event_time <= cut_us - maturity_us
    target = np.where((state == UNKNOWN) & ~treatment.is_stopped, 0, state)
    target = np.where(is_mature, target, UNKNOWN).astype(np.int8)
    return Knowledge(target, (target != UNKNOWN) & ~treatment.is_stopped)
