"""The one definition of every feature: entity, statistic, window; names and hash derive from it.

`docs/features.md` is generated from here, the kernel reads its plan from here, and the hash is
stored with every model: a scorer refuses a model made for other features.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from features import layout
from features.calendar import CALENDAR_VERSION
from features.catalogue import CARD_FEATURES, SHARED_FEATURES
from features.feature import SHARED_ENTITIES, Feature
from features.shared_plan import SharedPlan, plan_of
from features.statistic import INSTANTS, OF_AMOUNTS, STATISTICS, Windowed, as_bits


@dataclass(frozen=True)
class FeatureSet:
    """An ordered set of features, cross-card ones last: the order of every vector and matrix."""

    features: tuple[Feature, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """One unique name per feature, in vector order."""
        names = tuple(feature.name for feature in self.features)
        if len(set(names)) != len(names):
            raise ValueError(f"two features have one name among {names}")
        return names

    @cached_property
    def of_cards(self) -> tuple[Feature, ...]:
        """The features of a transaction and its card, which stand first."""
        own = tuple(feature for feature in self.features if not feature.is_shared)
        if own != self.features[: len(own)]:
            raise ValueError("cross-card features must follow those of cards")
        return own

    @cached_property
    def shared(self) -> tuple[SharedPlan, ...]:
        """What to read about each entity that has cross-card features."""
        plans = (plan_of(entity, self.features) for entity in SHARED_ENTITIES)
        return tuple(plan for plan in plans if len(plan.emits))

    @cached_property
    def windows_ms(self) -> NDArray[np.int64]:
        """The distinct windows of cards in ascending order."""
        lengths = {f.window_ms for f in self.of_cards if f.window_ms is not None}
        return np.array(sorted(lengths), dtype=np.int64)

    @cached_property
    def windows(self) -> NDArray[np.int64]:
        """What the kernel reads: (length, statistics) of each distinct window, shortest first."""
        needs = dict.fromkeys(self.windows_ms.tolist(), 0)
        for feature in self.features:
            if isinstance(feature.statistic, Windowed) and feature.window_ms is not None:
                needs[feature.window_ms] |= as_bits(feature.statistic)
        return np.array(list(needs.items()), dtype=np.int64).reshape(len(needs), 2)

    @cached_property
    def is_of_amounts(self) -> bool:
        """Whether times and amounts of the card's events decide all features."""
        return all(
            isinstance(feature.statistic, Windowed) and feature.statistic in OF_AMOUNTS
            for feature in self.features
        )

    @cached_property
    def slots(self) -> NDArray[np.int64]:
        """Where the kernel keeps the number of each feature of cards, in vector order."""
        position = {int(length): index for index, length in enumerate(self.windows_ms)}
        return np.array([_slot(feature, position) for feature in self.of_cards], dtype=np.int64)

    @cached_property
    def hash(self) -> str:
        """Stable digest of everything that decides a feature's value."""
        described = [
            (f.name, f.entity, f.statistic.name, f.window_ms, f.kind) for f in self.features
        ]
        constants = {
            name: value
            for name, value in vars(layout).items()
            if name.isupper() and isinstance(value, (int, tuple))
        }
        body = json.dumps([described, constants, CALENDAR_VERSION], sort_keys=True)
        return hashlib.sha256(body.encode()).hexdigest()[:16]


def _slot(feature: Feature, position: dict[int, int]) -> int:
    if feature.window_ms is None:
        return int(feature.statistic)
    return INSTANTS + position[feature.window_ms] * STATISTICS + int(feature.statistic)


FEATURE_SET = FeatureSet((*CARD_FEATURES, *SHARED_FEATURES))
"""The features of training, streaming, audit and the edge."""

CARD_SET = FeatureSet(CARD_FEATURES)
"""Those that a card's own events decide, for checks of card state alone."""
