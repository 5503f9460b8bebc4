"""Notices a frontier that does not come on while readers need it to."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

from features import layout
from features.tile_fold import EVENTS, LABELS, Partition, TileFolder

STALL_SECONDS = 10.0
"""As long as a scorer waits by default before the rules decide."""
BUSY_RECORDS = 5_000
"""Who folds so many at a time is catching up: that is no stall."""


@dataclass(frozen=True, slots=True)
class Stall:
    """The partition that holds the frontier of EVENTS or LABELS back, and by how much."""

    kind: str
    partition: int
    stands_at_ms: int
    behind_ms: int


class FrontierWatch:
    """Looks at a folder now and then; the clock is in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._stood: dict[str, tuple[int, float]] = {}

    def look(self, folder: TileFolder, folded: int) -> Stall | None:
        """What has stood still for `STALL_SECONDS`; `folded` records came since the last look."""
        if folded > BUSY_RECORDS:
            self._stood.clear()
        stalls = [self._stall(folder, kind) for kind in (EVENTS, LABELS)]
        return next(filter(None, stalls), None)

    def _stall(self, folder: TileFolder, kind: str) -> Stall | None:
        reached, now = folder.frontier(kind), self._clock()
        at, since = self._stood.get(kind, (-1, now))
        behind_ms = needed_ms(kind, folder.newest()) - reached
        if at != reached or behind_ms <= 0:
            since = now
        self._stood[kind] = (reached, since)
        if now - since < STALL_SECONDS:
            return None
        return Stall(kind, slowest(folder, kind)[1], reached, behind_ms)


def needed_ms(kind: str, newest_ms: int) -> int:
    """How far the frontier must be for a transaction with this clock to be decided."""
    if kind == EVENTS:
        return (newest_ms - layout.TILE_DELAY) // layout.MINUTE * layout.MINUTE
    return (newest_ms - layout.LABEL_DELAY) // layout.DAY * layout.DAY


def slowest(folder: TileFolder, kind: str) -> Partition:
    """The partition of a kind that is least far."""
    own = [partition for partition in folder.places if partition[0] == kind]
    return min(own, key=lambda partition: folder.places[partition].frontier)


@dataclass(frozen=True, slots=True)
class TileSign:
    """What `fraud tiles` says of itself in its sign of life."""

    transactions_ms: int
    labels_ms: int
    broken_promises: int
    stall: Stall | None = None

    def to_json(self) -> str:
        """As it stands in Redis."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, body: bytes | str) -> "TileSign | None":
        """The inverse of `to_json`; another version's sign is none."""
        try:
            tree = json.loads(body)
            stall = tree.pop("stall")
            return cls(**tree, stall=None if stall is None else Stall(**stall))
        except (ValueError, TypeError, KeyError, AttributeError):
            return None
