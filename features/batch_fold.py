"""One call of the fold kernel for a batch of cards, and what it gave back."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from contracts.errors import StateError
from contracts.spans import Span
from features.bit_columns import SLACK
from features.definition import FeatureSet
from features.engine import FeatureMatrix
from features.state import AHEAD, FOREIGN, put_back, serve_cards


def folded_batch(
    feature_set: FeatureSet,
    events: NDArray[np.int64],
    bounds: NDArray[np.int64],
    states: Sequence[bytes | None],
    offsets: NDArray[np.int64],
) -> "Folded":
    """Fold the events of each card, events[bounds[c]:bounds[c + 1]], into its state.

    `offsets` are those of `offsets_of_cards`.
    """
    sizes = [0, *(0 if state is None else len(state) for state in states)]
    parts = (*(state or b"" for state in states), bytes(SLACK))
    blob = np.frombuffer(b"".join(parts), dtype=np.uint8)
    values = np.empty((len(events), len(feature_set.of_cards)), dtype=np.float64)
    statuses = np.zeros(len(events), dtype=np.int64)
    outcome, card, written, ends = serve_cards(
        blob, np.cumsum(sizes), events, bounds, offsets,
        feature_set.windows, feature_set.slots, values, statuses,
    )  # fmt: skip
    return Folded(outcome, card, written, ends, values, statuses)


class Folded:
    """What the kernel gave back, rows grouped by card."""

    def __init__(
        self,
        outcome: int,
        card: int,
        written: NDArray[np.uint8],
        ends: NDArray[np.int64],
        values: NDArray[np.float64],
        statuses: NDArray[np.int64],
    ) -> None:
        self.outcome, self.card = outcome, card
        self._written, self._ends = written, ends
        self._values, self._statuses = values, statuses

    def states(self) -> list[bytes]:
        """The next state of each card."""
        data = self._written[: self._ends[-1]].tobytes()
        ends = self._ends.tolist()
        return [data[start:end] for start, end in itertools.pairwise(ends)]

    def write_into(self, values: NDArray[np.float64], order: NDArray[np.int64]) -> FeatureMatrix:
        """Put the features of cards into their columns, row i for input row i."""
        late, duplicate = put_back(self._values, self._statuses, order, values)
        return FeatureMatrix(values, late, duplicate)


def offsets_of_cards(
    offsets: NDArray[np.int64],
    spans: Sequence[Span],
    homes: Sequence[Span],
    committed: Mapping[int, int],
) -> NDArray[np.int64]:
    """For each card its partition's committed offset, and the batch's first and last one there.

    `spans` are of the batch's rows, `homes` of its cards.
    """
    ends = {s.partition: (offsets[s.start], offsets[s.stop - 1]) for s in spans}
    found = [(committed[home.partition], *ends[home.partition]) for home in homes]
    return np.array(found, dtype=np.int64).repeat([h.stop - h.start for h in homes], axis=0)


def unusable(outcome: int, partition: int, card: str) -> StateError:
    """Why the kernel refused a card's state."""
    cause = {
        AHEAD: "is ahead of the batch's offsets",
        FOREIGN: "has another layout than this code's",
    }.get(outcome, "is damaged")
    return StateError(
        f"feature state of a card in partition {partition} {cause}",
        value=card,
        remedy="Ensure the partition again: it is rebuilt from Kafka",
    )
