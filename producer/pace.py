"""When a record may go out: at once, by a world clock that runs faster, or at a steady rate."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from contracts.errors import SettingsError

WallClock = Callable[[], int]
"""Microseconds since the epoch."""
_GRAIN_US = 5_000
"""Closer than this to its time a record goes out: finer sleeps cost more than they give."""


class Pace(Protocol):
    """Decides how long the next record waits."""

    def seconds_until(self, timestamp_us: int) -> float:
        """Seconds to wait before sending a record of this world time; 0 or less: send it."""
        ...


@dataclass(frozen=True, slots=True)
class AtOnce:
    """No waiting: a backfill, whose end is in the past."""

    def seconds_until(self, timestamp_us: int) -> float:
        """Never waits."""
        return 0.0


@dataclass(slots=True)
class TimeLapse:
    """World time runs `speed` times as fast as the wall clock, and never overtakes it.

    `from_us` is the world time at which the run begins; from the moment that the world has caught
    up with the wall clock it goes on in real time.
    """

    from_us: int
    speed: float
    wall: WallClock
    began_us: int = field(init=False)

    def __post_init__(self) -> None:
        self.began_us = self.wall()

    def seconds_until(self, timestamp_us: int) -> float:
        """Seconds until the world's clock shows `timestamp_us`."""
        due_us = self.began_us + (timestamp_us - self.from_us) / self.speed
        wait_us = max(due_us, timestamp_us) - self.wall()
        return wait_us / 1e6 if wait_us > _GRAIN_US else 0.0


@dataclass(slots=True)
class SteadyRate:
    """`per_second` records, whatever their world time, but none before its time has come."""

    per_second: float
    wall: WallClock
    began_us: int = field(init=False)
    passed: int = 0

    def __post_init__(self) -> None:
        self.began_us = self.wall()

    def seconds_until(self, timestamp_us: int) -> float:
        """Seconds until the next record's turn; a turn is used up when it is granted."""
        due_us = self.began_us + self.passed * 1e6 / self.per_second
        wait_us = max(due_us, timestamp_us) - self.wall()
        if wait_us > _GRAIN_US:
            return wait_us / 1e6
        self.passed += 1
        return 0.0


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
