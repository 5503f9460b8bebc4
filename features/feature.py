"""One declared feature; its name is derived, never typed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from features.layout import DAY, HOUR, LONGEST_WINDOW, MEMORY_HOURS, MINUTE
from features.statistic import LABELLED, Instant, Shared, Windowed

REMEMBERED = (MEMORY_HOURS - 1) * HOUR
Group = Literal["temporal", "behavioural", "monetary", "merchant", "device"]
Kind = Literal["numeric", "categorical", "boolean"]
Entity = Literal["transaction", "card", "merchant", "device", "ip_prefix"]
SHARED_ENTITIES: tuple[Entity, ...] = ("merchant", "device", "ip_prefix")
ID_FIELDS: Mapping[Entity, str] = {
    "card": "card_id",
    "merchant": "merchant_id",
    "device": "device_id",
    "ip_prefix": "ip_prefix",
}
"""The field of a transaction that names each entity."""
SHARED_WINDOWS = (HOUR, DAY, 7 * DAY, 30 * DAY)
"""Each is made of tiles of one length: minutes, hours, and days for the last two."""


@dataclass(frozen=True, slots=True)
class Feature:
    """What to compute about `entity`; `window_ms` is set exactly for windowed statistics.

    Stored state forgets amounts after `LONGEST_WINDOW`; a feature that is only for replays of a
    history in memory may look back as long as cards remember their events.
    """

    statistic: Instant | Windowed | Shared
    group: Group
    description: str
    window_ms: int | None = None
    kind: Kind = "numeric"
    entity: Entity = "card"
    is_replay_only: bool = False

    def __post_init__(self) -> None:
        """Refuse a window or an entity where none belongs, or a window that nothing remembers."""
        if isinstance(self.statistic, Instant) != (self.window_ms is None):
            raise ValueError(f"{self.statistic.name} and window {self.window_ms} do not fit")
        if self.is_shared != (self.entity in SHARED_ENTITIES):
            raise ValueError(f"{self.statistic.name} is no statistic of a {self.entity}")
        if isinstance(self.statistic, Shared):
            self._refuse_without_tiles(self.statistic)
        longest = REMEMBERED if self.is_replay_only else LONGEST_WINDOW
        if self.window_ms is not None and not 0 < self.window_ms <= longest:
            raise ValueError(f"window of {self.window_ms} ms; at most {longest}")

    def _refuse_without_tiles(self, statistic: Shared) -> None:
        if self.window_ms not in SHARED_WINDOWS:
            raise ValueError(f"no tiles for a window of {self.window_ms} ms")
        if statistic in (Shared.CARDS, *LABELLED) and self.window_ms == HOUR:
            raise ValueError("tiles of a minute hold neither cards nor labels")

    @property
    def is_shared(self) -> bool:
        """Whether other cards' events decide it."""
        return isinstance(self.statistic, Shared)

    @property
    def name(self) -> str:
        """Entity, statistic and window, as in `card_sum_24h`."""
        parts = [self.entity, self.statistic.name.lower()]
        if self.window_ms is not None:
            parts.append(window_name(self.window_ms))
        return "_".join(parts)


def window_name(window_ms: int) -> str:
    """A length in the largest unit that divides it, but 24 hours stay hours: 10m, 24h, 7d."""
    if window_ms % DAY == 0 and window_ms > DAY:
        return f"{window_ms // DAY}d"
    if window_ms % HOUR == 0:
        return f"{window_ms // HOUR}h"
    return f"{window_ms // MINUTE}m"
