"""Where card states live: one port, in memory or in Redis.

A store keeps, per partition, a manifest and the states of its cards under a generation. The
manifest says which offsets can be replayed and how far the states were when it was written, after
them. Every read brings the generation along, and the offset after the newest states. Every write
names both as they were read, and the offset after itself; so a store that was wiped, rebuilt,
restored, written by others or that lost its last writes is noticed in the same round trip, and
never taken for an empty one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from contracts.errors import FraudError, StateError

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

    `next_offset` is the manifest's; None while a rebuild is under way. `served` is the offset after
    the newest states, as their writer told it.
    """

    generation: str | None
    next_offset: int | None
    states: list[bytes | None]
    served: int = UNKNOWN


@dataclass(frozen=True, slots=True)
class Written:
    """What is written of a partition: states by card, and `after`, the offset after them.

    They go on from states that were read under the generation when `before` was served. An unknown
    `after` leaves that as it is.
    """

    generation: str
    states: Mapping[str, bytes]
    after: int = UNKNOWN
    before: int = UNKNOWN


class StateStore(Protocol):
    """The port. All methods raise StoreError when the store does not answer or refuses a write."""

    def manifest(self, partition: int) -> Manifest | None:
        """The partition's manifest; None when it was never written, or is gone."""

    def read(self, partition: int, generation: str, cards: Sequence[str]) -> Stored:
        """The states of `cards` under `generation`, and the generation that is now current."""

    def write(self, partition: int, written: Written) -> None:
        """Put states, those of one card or 5,000 all or none.

        Raises:
            StateError: the generation is no longer current, or others wrote since the states were
                read: a zombie never takes a card back in offsets.
        """

    def begin(self, partition: int, generation: str) -> None:
        """Forget the partition's states and manifest; `generation` becomes the current one."""

    def mark(self, partition: int, manifest: Manifest, served: int = UNKNOWN) -> None:
        """Write the manifest of the current generation.

        Raises:
            StateError: its generation is not the current one, or the newest states are others than
                those before `served`.
        """

    def reading(
        self, asked: Mapping[int, tuple[str, Sequence[str]]]
    ) -> Callable[[], dict[int, Stored]]:
        """Begin to `read` several partitions, by partition a generation and cards.

        One round trip, which may be under way until the result is called: that waits for it.
        """

    def writing(self, states: Mapping[int, Written]) -> Callable[[], None]:
        """Begin to `write` to several partitions, each in turn; likewise."""

    def mark_many(self, manifests: Mapping[int, Manifest], served: Mapping[int, int]) -> None:
        """`mark` of several partitions in one round trip; `served` where it is known."""


class OneByOne:
    """The port's methods for several partitions, for stores whose round trips cost nothing."""

    def reading(
        self: StateStore, asked: Mapping[int, tuple[str, Sequence[str]]]
    ) -> Callable[[], dict[int, Stored]]:
        """See `StateStore`."""
        found = {p: self.read(p, generation, cards) for p, (generation, cards) in asked.items()}
        return lambda: found

    def writing(self: StateStore, states: Mapping[int, Written]) -> Callable[[], None]:
        """See `StateStore`."""

        refusals: list[FraudError] = []
        try:
            for partition, written in states.items():
                self.write(partition, written)
        except FraudError as error:
            refusals.append(error)

        def settle() -> None:
            for refusal in refusals:
                raise refusal

        return settle

    def mark_many(
        self: StateStore, manifests: Mapping[int, Manifest], served: Mapping[int, int]
    ) -> None:
        """See `StateStore`."""
        for partition, manifest in manifests.items():
            self.mark(partition, manifest, served.get(partition, UNKNOWN))


def refuse_generation(partition: int) -> StateError:
    """The store was wiped or rebuilt by someone else."""
    return StateError(
        "feature state was wiped or rebuilt meanwhile",
        value=partition,
        remedy="Its reader must ensure its state again",
    )


def refuse_others(partition: int) -> StateError:
    """Another writer came between a read and its write."""
    return StateError(
        "others wrote feature state of this partition since it was read",
        value=partition,
        remedy="Another task has taken this partition over; this one must ensure it again, or stop",
    )


def refuse_lost(partition: int) -> StateError:
    """The store was restored, or lost its last writes, or somebody else wrote."""
    return StateError(
        "the newest states are not those that this process wrote last",
        value=partition,
        remedy="Nothing to do: the scorer brings the state up to date from Kafka",
    )


class MemoryStateStore(OneByOne):
    """States in this process: for tests, replays and the edge."""

    def __init__(self) -> None:
        self._generations: dict[int, str] = {}
        self._manifests: dict[int, Manifest] = {}
        self._states: dict[int, dict[str, bytes]] = {}
        self._served: dict[int, int] = {}

    def manifest(self, partition: int) -> Manifest | None:
        """See `StateStore`."""
        return self._manifests.get(partition)

    def read(self, partition: int, generation: str, cards: Sequence[str]) -> Stored:
        """See `StateStore`."""
        current = self._generations.get(partition)
        states = self._states.get(partition, {}) if current == generation else {}
        manifest = self._manifests.get(partition)
        next_offset = manifest.next_offset if manifest is not None else None
        served = self._served.get(partition, UNKNOWN)
        return Stored(current, next_offset, [states.get(card) for card in cards], served)

    def write(self, partition: int, written: Written) -> None:
        """See `StateStore`."""
        self._refuse(partition, written.generation)
        if self._served.get(partition, UNKNOWN) != written.before:
            raise refuse_others(partition)
        self._states[partition].update(written.states)
        if written.after != UNKNOWN:
            self._served[partition] = written.after

    def begin(self, partition: int, generation: str) -> None:
        """See `StateStore`."""
        self._generations[partition] = generation
        self._states[partition] = {}
        self._manifests.pop(partition, None)
        self._served.pop(partition, None)

    def mark(self, partition: int, manifest: Manifest, served: int = UNKNOWN) -> None:
        """See `StateStore`."""
        self._refuse(partition, manifest.generation)
        if served not in (UNKNOWN, self._served.get(partition, UNKNOWN)):
            raise refuse_lost(partition)
        self._manifests[partition] = manifest

    def _refuse(self, partition: int, generation: str) -> None:
        if self._generations.get(partition) != generation:
            raise refuse_generation(partition)
