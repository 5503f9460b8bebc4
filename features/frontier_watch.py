"""Notices a frontier that does not come on while readers need it to."""

from collections.abc import Callable, Mapping

from features.tile_fold import EVENTS, LABELS, Partition, TileFolder, needed_ms
from features.tile_sign import Stall


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
