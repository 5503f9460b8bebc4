"""What a publisher promises about time: from here on no record will carry an earlier timestamp.

Readers that wait for "everything until then" need it for partitions on which nothing happens. A
publisher that stamps records with event times (a backfill, an import, a time-lapse) must promise;
where nobody ever did, the topic is taken to be live, and an idle partition's time is the wall's.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import orjson


@dataclass(frozen=True, slots=True)
class Promise:
    """Records at `ends` or later, by topic and partition, carry `until_ms` or a later timestamp.

    Everything below `ends` was acknowledged before the promise was sent.
    """

    until_ms: int
    ends: Mapping[str, Mapping[int, int]]

    def to_json(self) -> bytes:
        """As it stands in the frontiers topic."""
        ends = {t: {str(p): end for p, end in known.items()} for t, known in self.ends.items()}
        return orjson.dumps({"until_ms": self.until_ms, "ends": ends})

    @classmethod
    def from_json(cls, body: bytes) -> "Promise":
        """The inverse of `to_json`."""
        tree = orjson.loads(body)
        ends = {t: {int(p): end for p, end in known.items()} for t, known in tree["ends"].items()}
        return cls(tree["until_ms"], ends)


def alive_key(topic: str) -> str:
    """The Redis key that `fraud tiles` keeps from expiring while it runs."""
    return f"fraud:tiles:{topic}:alive"
