"""What the tile kernel reads about one entity, and where its features stand."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features import layout
from features.feature import Entity, Feature
from features.statistic import LABELLED, Shared

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class SharedPlan:
    """`windows` has rows (section, tiles, whether cards are told apart).

    `emits` has rows (statistic, window, events' window, column); the events' window is another one
    only for statistics that read labels.
    """

    entity: Entity
    windows: Ints
    emits: Ints

    @property
    def sections(self) -> frozenset[int]:
        """The sections that any window reads."""
        return frozenset(self.windows[:, 0].tolist())


def plan_of(entity: Entity, features: Sequence[Feature]) -> SharedPlan:
    """The plan of an entity's features within a set."""
    windows: list[tuple[int, int]] = []
    emits = []
    for column, feature in enumerate(features):
        if feature.entity != entity or not isinstance(feature.statistic, Shared):
            continue
        events = _place(windows, _window(feature.window_ms or 0))
        read = events
        if feature.statistic in LABELLED:
            read = _place(windows, _label_window(feature.window_ms or 0))
        emits.append((int(feature.statistic), read, events, column))
    of_cards = {window for statistic, window, *_ in emits if statistic == Shared.CARDS}
    flagged = [(*window, int(k in of_cards)) for k, window in enumerate(windows)]
    return SharedPlan(entity, _rows(flagged, 3), _rows(emits, 4))


def _window(length_ms: int) -> tuple[int, int]:
    """Section and number of tiles: a window is made of tiles of one length."""
    if length_ms <= layout.HOUR:
        return layout.S_MINUTE, length_ms // layout.MINUTE
    if length_ms <= layout.DAY:
        return layout.S_HOUR, length_ms // layout.HOUR
    return layout.S_DAY, length_ms // layout.DAY


def _label_window(length_ms: int) -> tuple[int, int]:
    return layout.S_LABEL, length_ms // layout.DAY


def _place(windows: list[tuple[int, int]], window: tuple[int, int]) -> int:
    if window not in windows:
        windows.append(window)
    return windows.index(window)


def _rows(rows: Sequence[tuple[int, ...]], width: int) -> Ints:
    return np.array(rows, dtype=np.int64).reshape(len(rows), width)
