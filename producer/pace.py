"""When a record may go out: at once, by a world clock that runs faster, or at a steady rate."""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from contracts.errors import SettingsError

SLACK_SECONDS = 0.3
WallClock = Callable[[], int]
"""Microseconds since the epoch."""


class Pace(Protocol):
    """Decides how many records may go out now."""

    @property
    def slack_us(self) -> int:
        """World time by which promises stay behind, for others who publish beside this run."""
        ...

    def due(self, times_us: Sequence[int]) -> int:
        """How many of the next records, whose world times these are, may be sent now."""
        ...

    def seconds_until(self, time_us: int) -> float:
        """Seconds until the next record, of this world time, may be sent."""
        ...


@dataclass(frozen=True, slots=True)
class AtOnce:
    """No waiting: a backfill, whose end is in the past."""

    slack_us: int = 0

    def due(self, times_us: Sequence[int]) -> int:
        """All of them."""
        return len(times_us)

    def seconds_until(self, time_us: int) -> float:
        """Never waits."""
        return 0.0


@dataclass(slots=True)
class TimeLapse:
    """World time runs `speed` times as fast as the wall clock, and never overtakes it.

    `from_us` is the world time at which the run begins; from the moment that the world has caught
    up with the wall clock it goes on in real time, and `on_caught_up` is called once.
    """

    from_us: int
    speed: float
    wall: WallClock
    on_caught_up: Callable[[], None] | None = None
    began_us: int = field(init=False)

    def __post_init__(self) -> None:
        self.began_us = self.wall()

    @property
    def slack_us(self) -> int:
        """What passes in the world while others' records are on their way."""
        return int(SLACK_SECONDS * self.speed * 1e6)

    def due(self, times_us: Sequence[int]) -> int:
        """Those up to what the world's clock shows."""
        return bisect_right(times_us, self.world_us())

    def world_us(self) -> int:
        """What the world's clock shows."""
        now_us = self.wall()
        lapsed_us = int(self.from_us + (now_us - self.began_us) * self.speed)
        if lapsed_us >= now_us:
            self._tell()
        return min(lapsed_us, now_us)

    def _tell(self) -> None:
        tell, self.on_caught_up = self.on_caught_up, None
        if tell is not None:
            tell()

    def seconds_until(self, time_us: int) -> float:
        """Seconds until the world's clock shows `time_us`."""
        due_us = self.began_us + (time_us - self.from_us) / self.speed
        return max(0.0, (max(due_us, time_us) - self.wall()) / 1e6)


@dataclass(slots=True)
class SteadyRate:
    """`per_second` records, whatever their world time, but none before its time has come."""

    per_second: float
    wall: WallClock
    began_us: int = field(init=False)
    passed: int = 0

    def __post_init__(self) -> None:
        self.began_us = self.wall()

    @property
    def slack_us(self) -> int:
        """Nobody publishes beside a run at a rate."""
        return 0

    def due(self, times_us: Sequence[int]) -> int:
        """As many as the rate has earned since the last ones; granting uses them up."""
        now_us = self.wall()
        earned = int((now_us - self.began_us) * self.per_second / 1e6) - self.passed
        granted = max(0, min(earned, bisect_right(times_us, now_us)))
        self.passed += granted
        return granted

    def seconds_until(self, time_us: int) -> float:
        """Seconds until one more record is earned."""
        due_us = self.began_us + (self.passed + 1) * 1e6 / self.per_second
        return max(0.0, (max(due_us, time_us) - self.wall()) / 1e6)


def parse_speed(text: str) -> float:
    """A speed such as `60x` or `60`.

    Raises:
        SettingsError: it is no positive number.
    """
    try:
        speed = float(text.removesuffix("x"))
    except ValueError:
        speed = math.nan
    if not 0 < speed < math.inf:
        raise SettingsError("a speed is a positive number such as 60x", value=text)
    return speed
