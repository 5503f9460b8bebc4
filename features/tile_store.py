"""Where closed tiles live: one port, in memory or in Redis. `fraud tiles` is the only writer.

The manifest is written after the tiles and says up to which moment they are complete, so a reader
that finds it far enough along has all of them, and an entity without tiles really has none.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Protocol

from contracts.errors import StateError
from features import layout

Blobs = Mapping[str, list[bytes | None]]


@dataclass(frozen=True, slots=True)
class TileManifest:
    """Which tiles are complete: those of transactions and of labels that ended by these moments.

    Milliseconds. `kept_from` is per section the first tile that is still there. `positions` maps
    "topic/partition" to where folding goes on after a restart: an offset, and the clock before it.
    `broken_promises` are counted up to the offsets `counted`: what is folded again is not counted
    again.
    """

    generation: str
    transactions_ms: int = 0
    labels_ms: int = 0
    kept_from: tuple[int, ...] = (0,) * layout.SECTIONS
    positions: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    broken_promises: int = 0
    counted: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> str:
        """As it is stored."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, body: bytes) -> "TileManifest":
        """The inverse of `to_json`."""
        tree = json.loads(body)
        tree["kept_from"] = tuple(tree["kept_from"])
        tree["positions"] = {k: (v[0], v[1]) for k, v in tree["positions"].items()}
        return cls(**tree)


class TileStore(Protocol):
    """The port. All methods raise StoreError when the store does not answer or refuses a write."""

    def manifest(self) -> TileManifest | None:
        """The manifest; None when it was never written, or is gone."""

    def read(
        self, generation: str, names: Mapping[str, Sequence[int]]
    ) -> tuple[TileManifest | None, Blobs]:
        """By kind of entity the bytes of each one's tiles, and the manifest before they were read.

        In that order a manifest never promises more than the tiles hold.
        """

    def write(self, generation: str, kind: str, tiles: Mapping[int, bytes]) -> None:
        """Put the bytes of entities of one kind; empty bytes forget the entity.

        Raises:
            StateError: the generation is no longer current.
        """

    def names(self, generation: str, kind: str) -> Sequence[int]:
        """Every entity of a kind that has tiles."""

    def begin(self, manifest: TileManifest) -> None:
        """Forget all tiles; `manifest` becomes the current one."""

    def mark(self, manifest: TileManifest) -> None:
        """Write the manifest of the current generation.

        Raises:
            StateError: its generation is not the current one.
        """

    def forget(self) -> None:
        """Drop the manifest: the writer starts over, readers wait for it."""

    def note(self, reader: str, clock_ms: int, wall_ms: int) -> None:
        """Remember that a reader may come back to this clock: what it needs there must be kept."""

    def readers(self) -> Mapping[str, tuple[int, int]]:
        """The clock that each reader noted, and when by the wall."""


def refuse_tiles(generation: str) -> StateError:
    """The store was wiped, or another writer started over."""
    return StateError(
        "the tiles were wiped or begun anew by another writer",
        value=generation,
        remedy="Nothing to do: `fraud tiles` starts over from what the store holds",
    )


class MemoryTileStore:
    """Tiles in this process: for tests, replays and the edge."""

    def __init__(self) -> None:
        self._manifest: TileManifest | None = None
        self._tiles: dict[str, dict[int, bytes]] = {}
        self._readers: dict[str, tuple[int, int]] = {}

    def manifest(self) -> TileManifest | None:
        """See `TileStore`."""
        return self._manifest

    def read(
        self, generation: str, names: Mapping[str, Sequence[int]]
    ) -> tuple[TileManifest | None, Blobs]:
        """See `TileStore`."""
        is_current = self._manifest is not None and self._manifest.generation == generation
        held = self._tiles if is_current else {}
        found = {
            kind: [held.get(kind, {}).get(n) for n in wanted] for kind, wanted in names.items()
        }
        return self._manifest, found

    def write(self, generation: str, kind: str, tiles: Mapping[int, bytes]) -> None:
        """See `TileStore`."""
        self._refuse(generation)
        held = self._tiles.setdefault(kind, {})
        held.update(tiles)
        for name in [name for name, blob in tiles.items() if not blob]:
            del held[name]

    def names(self, generation: str, kind: str) -> Sequence[int]:
        """See `TileStore`."""
        return list(self._tiles.get(kind, {}))

    def begin(self, manifest: TileManifest) -> None:
        """See `TileStore`."""
        self._manifest, self._tiles = manifest, {}

    def mark(self, manifest: TileManifest) -> None:
        """See `TileStore`."""
        self._refuse(manifest.generation)
        self._manifest = manifest

    def forget(self) -> None:
        """See `TileStore`."""
        self._manifest = None

    def note(self, reader: str, clock_ms: int, wall_ms: int) -> None:
        """See `TileStore`."""
        self._readers[reader] = (clock_ms, wall_ms)

    def readers(self) -> Mapping[str, tuple[int, int]]:
        """See `TileStore`."""
        return dict(self._readers)

    def _refuse(self, generation: str) -> None:
        if self._manifest is None or self._manifest.generation != generation:
            raise refuse_tiles(generation)
