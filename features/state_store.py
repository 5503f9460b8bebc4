"""Where card states live: one port, in memory or in Redis.

A store keeps, per partition, a manifest and the states of its cards under a generation. The
manifest says which offsets can be replayed and where the next batch starts; it is written after the
states. Every read brings the generation along and every write names it, so a store that was wiped,
replaced or rebuilt in between is noticed in the same round trip and never taken for an empty one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from contracts.errors import StateError

LAST_OFFSET_BYTES = 8


UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class Manifest:
    """States of a partition can be replayed from `base_offset` on; `next_offset` is unread.

    The clocks are the partition's before each of them, milliseconds, UNKNOWN where nobody noted it.
    """

    generation: str
    base_offset: int
    next_offset: int
    base_clock: int = UNKNOWN
    next_clock: int = UNKNOWN


@dataclass(frozen=True, slots=True)
class Stored:
    """What one round trip read: the partition's mark of currency, and a state or None per card.

    `next_offset` is the manifest's; None while a rebuild is under way.
    """

    generation: str | None
    next_offset: int | None
    states: list[bytes | None]


class StateStore(Protocol):
    """The port. All methods raise StoreError when the store does not answer or refuses a write."""

    def manifest(self, partition: int) -> Manifest | None:
        """The partition's manifest; None when it was never written, or is gone."""

    def read(self, partition: int, generation: str, cards: Sequence[str]) -> Stored:
        """The states of `cards` under `generation`, and the generation that is now current."""

    def write(self, partition: int, generation: str, states: Mapping[str, bytes]) -> None:
        """Put all states or none.

        Raises:
            StateError: the generation is no longer current, or a state would go back in offsets.
        """

    def begin(self, partition: int, generation: str) -> None:
        """Forget the partition's states and manifest; `generation` becomes the current one."""

    def mark(self, partition: int, manifest: Manifest) -> None:
        """Write the manifest of the current generation.

        Raises:
            StateError: its generation is not the current one.
        """

    def read_many(self, asked: Mapping[int, tuple[str, Sequence[str]]]) -> dict[int, Stored]:
        """`read` of several partitions: by partition a generation and cards; one round trip."""

    def write_many(self, states: Mapping[int, tuple[str, Mapping[str, bytes]]]) -> None:
        """`write` to several partitions in one round trip: each all or none, each in turn."""

    def mark_many(self, manifests: Mapping[int, Manifest]) -> None:
        """`mark` of several partitions in one round trip."""


class OneByOne:
    """The port's methods for several partitions, for stores whose round trips cost nothing."""

    def read_many(
        self: StateStore, asked: Mapping[int, tuple[str, Sequence[str]]]
    ) -> dict[int, Stored]:
        """See `StateStore`."""
        return {p: self.read(p, generation, cards) for p, (generation, cards) in asked.items()}

    def write_many(self: StateStore, states: Mapping[int, tuple[str, Mapping[str, bytes]]]) -> None:
        """See `StateStore`."""
        for partition, (generation, held) in states.items():
            self.write(partition, generation, held)

    def mark_many(self: StateStore, manifests: Mapping[int, Manifest]) -> None:
        """See `StateStore`."""
        for partition, manifest in manifests.items():
            self.mark(partition, manifest)


def refuse_generation(partition: int, wanted: str, current: str | None) -> StateError:
    """The store was wiped or rebuilt by someone else."""
    return StateError(
        f"feature state of partition {partition} was wiped or rebuilt meanwhile",
        value=current,
        remedy=f"The reader of generation {wanted} must ensure its state again",
    )


def refuse_older(partition: int, card: str) -> StateError:
    """Another writer is ahead of this one."""
    return StateError(
        f"a write would take a card's state in partition {partition} back in offsets",
        value=card,
        remedy="Another task has taken this partition over; this one must stop",
    )


class MemoryStateStore(OneByOne):
    """States in this process: for tests, replays and the edge."""

    def __init__(self) -> None:
        self._generations: dict[int, str] = {}
        self._manifests: dict[int, Manifest] = {}
        self._states: dict[int, dict[str, bytes]] = {}

    def manifest(self, partition: int) -> Manifest | None:
        """See `StateStore`."""
        return self._manifests.get(partition)

    def read(self, partition: int, generation: str, cards: Sequence[str]) -> Stored:
        """See `StateStore`."""
        current = self._generations.get(partition)
        states = self._states.get(partition, {}) if current == generation else {}
        manifest = self._manifests.get(partition)
        next_offset = manifest.next_offset if manifest is not None else None
        return Stored(current, next_offset, [states.get(card) for card in cards])

    def write(self, partition: int, generation: str, states: Mapping[str, bytes]) -> None:
        """See `StateStore`."""
        self._refuse(partition, generation)
        held = self._states[partition]
        for card, state in states.items():
            if held.get(card, b"")[:LAST_OFFSET_BYTES] > state[:LAST_OFFSET_BYTES]:
                raise refuse_older(partition, card)
        held.update(states)

    def begin(self, partition: int, generation: str) -> None:
        """See `StateStore`."""
        self._generations[partition] = generation
        self._states[partition] = {}
        self._manifests.pop(partition, None)

    def mark(self, partition: int, manifest: Manifest) -> None:
        """See `StateStore`."""
        self._refuse(partition, manifest.generation)
        self._manifests[partition] = manifest

    def _refuse(self, partition: int, generation: str) -> None:
        current = self._generations.get(partition)
        if current != generation:
            raise refuse_generation(partition, generation, current)
