"""The seams of scoring: what the scorer needs of a model bundle and of the feature server."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from contracts.transaction_rows import EventRows
from features.engine import FeatureMatrix

Floats = NDArray[np.float64]


class Decided(Protocol):
    """A policy's answer for n scores; `decision` holds 0 approve, 1 review, 2 decline."""

    @property
    def decision(self) -> NDArray[np.int8]:
        """Code per row."""

    @property
    def expected_loss_minor(self) -> NDArray[np.int64]:
        """Expected loss of the decision, minor units."""

    @property
    def control(self) -> NDArray[np.bool_]:
        """Rows that would be declined but were let through to learn from them."""

    @property
    def propensity(self) -> Floats:
        """Probability with which the row could go ahead."""


class Model(Protocol):
    """A loaded model version; every method is deterministic and independent of batch size."""

    @property
    def version(self) -> str:
        """The registry's version."""

    @property
    def feature_hash(self) -> str:
        """The feature set that it was trained on."""

    @property
    def policy_version(self) -> str:
        """The policy behind `decide`."""

    def score(self, values: Floats) -> Floats:
        """Calibrated probability of fraud per row."""

    def decide(
        self, score: Floats, amount_minor: NDArray[np.int64], transaction_ids: Sequence[str]
    ) -> Decided:
        """Approve, review or decline."""

    def explained(self, values: Floats) -> tuple[Floats, Floats]:
        """The score, and path contributions to its log-odds, [n, F]: cheap."""

    def exact_contributions(self, values: Floats) -> Floats:
        """TreeSHAP contributions to the log-odds, [n, F]: a hundred times dearer."""


class Features(Protocol):
    """The feature server of one topic."""

    def ensure(self, partition: int, start_offset: int) -> None:
        """Bring a partition's state to `start_offset`, from Kafka if need be."""

    def serve_ahead(
        self, events: EventRows, *, committed: Mapping[int, int]
    ) -> tuple[FeatureMatrix, Callable[[], None]]:
        """Features of events, a partition's together in offset order.

        Offsets from a partition's committed one on can be replayed. The second waits for the state
        after them to be written: nothing made from the features may leave before.
        """

    def mark(self, places: Mapping[int, tuple[int, int]]) -> None:
        """Record by partition (base, next): all below next is folded, replayable from base."""
