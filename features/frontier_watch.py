"""Notices a frontier that does not come on while readers need it to."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

from features.tile_fold import EVENTS, LABELS, Partition, TileFolder, needed_ms


@dataclass(frozen=True, slots=True)
class Stall:
    """The partition that holds the frontier of EVENTS or LABELS back, and by how much."""

    kind: str
    partition: int
    stands_at_ms: int
    behind_ms: int


class FrontierWatch:
    """Looks at a folder now and then; `ends` are the partitions' as far as they are known.

    A frontier stalls that stays behind for `wait_seconds`, as long as scorers wait for it, while
    the partition that holds it is read as far as it went at the look before: there is nothing to
    catch up with. Whether the others are busy, or the frontier moves, too late, is all one.
    """

    def __init__(
        self,
        ends: Callable[[], Mapping[Partition, int]],
        wait_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self._read_ends = ends
        self._wait_seconds = wait_seconds
        self._clock = clock
        self._ends: Mapping[Partition, int] = {}
        self._since: dict[str, float] = {}

    def look(self, folder: TileFolder) -> Stall | None:
        """What stalls now."""
        stalls = [self._stall(folder, kind) for kind in (EVENTS, LABELS)]
        self._ends = self._read_ends()
        return next(filter(None, stalls), None)

    def _stall(self, folder: TileFolder, kind: str) -> Stall | None:
        reached = folder.frontier(kind)
        behind_ms = needed_ms(kind, folder.newest()) - reached
        if behind_ms <= 0 or not self._is_read(folder, holder := slowest(folder, kind)):
            self._since.pop(kind, None)
            return None
        now = self._clock()
        if now - self._since.setdefault(kind, now) < self._wait_seconds:
            return None
        return Stall(kind, holder[1], reached, behind_ms)

    def _is_read(self, folder: TileFolder, partition: Partition) -> bool:
        end = self._ends.get(partition)
        return end is not None and folder.places[partition].offset >= end


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
