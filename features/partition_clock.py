"""What a feature server knows of its partitions' clocks, by the offsets that it passed."""

from dataclasses import dataclass, field

from features.store import UNKNOWN, Manifest


@dataclass(slots=True)
class _Passed:
    """The clock now, and the clocks before earlier offsets."""

    clock: int
    before: dict[int, int] = field(default_factory=dict)


class PartitionClocks:
    """The clock of each partition after what was served, milliseconds."""

    def __init__(self) -> None:
        self._passed: dict[int, _Passed] = {}

    def now(self, partition: int) -> int:
        """The clock before the next event."""
        return self._passed[partition].clock

    def set(self, partition: int, offset: int, clock: int) -> None:
        """Serving goes on at `offset`, with this clock before it."""
        self._passed[partition] = _Passed(clock, {offset: clock})

    def advance(self, partition: int, first_offset: int, clock: int) -> None:
        """A batch from `first_offset` on was served; `clock` is the one after it."""
        passed = self._passed[partition]
        passed.before.setdefault(first_offset, passed.clock)
        passed.clock = clock

    def marked(self, partition: int, base_offset: int, next_offset: int) -> tuple[int, int]:
        """The clocks before both offsets; what lies before the base is forgotten."""
        passed = self._passed[partition]
        passed.before[next_offset] = passed.clock
        passed.before = {o: clock for o, clock in passed.before.items() if o >= base_offset}
        return passed.before.get(base_offset, UNKNOWN), passed.clock


def known_clock(manifest: Manifest, offset: int) -> int | None:
    """The clock before an offset that a manifest names."""
    noted = {
        manifest.base_offset: manifest.base_clock,
        manifest.next_offset: manifest.next_clock,
        0: 0,
    }
    clock = noted.get(offset, UNKNOWN)
    return None if clock == UNKNOWN else clock
