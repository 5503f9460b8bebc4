"""The clocks of a batch are those of its partitions, one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.spans import Span, spans_of
from features.clocks import clocks_after, clocks_of_batch

runs = st.lists(
    st.lists(st.integers(0, 2 * 10**15), min_size=1, max_size=5), min_size=1, max_size=4
)


@settings(deadline=None)  # the first example may compile
@given(runs, st.data())
def test_each_partition_goes_on_from_its_own_clock(
    batch: list[list[int]], data: st.DataObject
) -> None:
    """The largest timestamp so far, of that partition, and never less than its clock before."""
    before = [data.draw(st.integers(0, 2 * 10**12)) for _ in batch]
    partitions = np.repeat(np.arange(len(batch), dtype=np.int32), [len(run) for run in batch])
    found = clocks_of_batch(np.concatenate(batch), partitions, np.array(before))
    expected = [
        clocks_after(clock, np.array(run) // 1000) for clock, run in zip(before, batch, strict=True)
    ]
    assert found.tolist() == np.concatenate(expected).tolist()


def test_spans_are_the_partitions_rows() -> None:
    """In order, each with its first row and the one after its last."""
    assert spans_of(np.array([3, 3, 0, 7, 7])) == [Span(3, 0, 2), Span(0, 2, 3), Span(7, 3, 5)]
    assert spans_of(np.array([], dtype=np.int32)) == []


def test_rows_of_one_partition_stand_together() -> None:
    """Else offsets would be taken for another partition's."""
    with pytest.raises(ValueError, match="do not stand together"):
        spans_of(np.array([1, 2, 1]))
