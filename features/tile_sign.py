"""What `fraud tiles` says of itself; read without the kernels that fold."""

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Stall:
    """The partition that holds the frontier of EVENTS or LABELS back, and by how much."""

    kind: str
    partition: int
    stands_at_ms: int
    behind_ms: int


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
