"""One declared feature; its name is derived, never typed."""

from dataclasses import dataclass
from typing import Literal

from features.layout import DAY, HOUR, LONGEST_WINDOW, MINUTE
from features.statistic import Instant, Windowed

Group = Literal["temporal", "behavioural", "monetary", "merchant", "device"]
Kind = Literal["numeric", "categorical", "boolean"]


@dataclass(frozen=True, slots=True)
class Feature:
    """What to compute about `entity`; `window_ms` is set exactly for windowed statistics."""

    statistic: Instant | Windowed
    group: Group
    description: str
    window_ms: int | None = None
    kind: Kind = "numeric"
    entity: Literal["transaction", "card"] = "card"

    def __post_init__(self) -> None:
        """Refuse a window where none belongs, or one longer than cards remember amounts."""
        if isinstance(self.statistic, Windowed) != (self.window_ms is not None):
            raise ValueError(f"{self.statistic.name} and window {self.window_ms} do not fit")
        if self.window_ms is not None and not 0 < self.window_ms <= LONGEST_WINDOW:
            raise ValueError(f"window of {self.window_ms} ms; at most {LONGEST_WINDOW}")

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
