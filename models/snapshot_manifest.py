"""What a snapshot holds: its offset ranges, files, counts and content hash, as canonical JSON."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from contracts.errors import ObjectStoreError
from contracts.kafka import OffsetRange

MANIFEST_VERSION = 1


@dataclass(frozen=True, slots=True)
class SnapshotFile:
    """One Parquet object, its rows and the SHA-256 of its bytes."""

    key: str
    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class SnapshotPart:
    """One topic's files; `unreadable` counts refused records by code; times of record, in us."""

    topic: str
    files: tuple[SnapshotFile, ...]
    records: int
    unreadable: dict[str, int]
    first_us: int | None
    last_us: int | None
    schema: dict[str, str]

    @property
    def rows(self) -> int:
        """Readable records."""
        return sum(file.rows for file in self.files)


@dataclass(frozen=True, slots=True)
class SnapshotManifest:
    """A snapshot: the same ranges give the same files, hash and manifest."""

    reference: str
    uri: str
    ranges: tuple[OffsetRange, ...]
    parts: tuple[SnapshotPart, ...]
    content_hash: str
    version: int = MANIFEST_VERSION

    def part(self, topic: str) -> SnapshotPart:
        """The part of one topic.

        Raises:
            ObjectStoreError: the snapshot does not hold that topic.
        """
        for part in self.parts:
            if part.topic == topic:
                return part
        raise ObjectStoreError("the snapshot lacks a topic", value=topic)

    def end_offsets(self, topic: str) -> dict[int, int]:
        """Partition to the offset after the snapshot's last record."""
        return {span.partition: span.end for span in self.ranges if span.topic == topic}

    def to_json(self) -> bytes:
        """Canonical bytes: the same manifest gives the same bytes."""
        return json.dumps(asdict(self), sort_keys=True, indent=1).encode()


def content_hash(ranges: tuple[OffsetRange, ...], parts: tuple[SnapshotPart, ...]) -> str:
    """Digest of the offsets and of every file's bytes; independent of where they are kept."""
    body = [asdict(span) for span in ranges]
    body += [{"topic": p.topic, "files": [f.sha256 for f in p.files]} for p in parts]
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def part_from(tree: dict[str, Any]) -> SnapshotPart:
    """A part read back from JSON."""
    files = tuple(SnapshotFile(**file) for file in tree["files"])
    return SnapshotPart(**(tree | {"files": files}))


def manifest_from(data: bytes) -> SnapshotManifest:
    """A manifest read back from its bytes.

    Raises:
        ObjectStoreError: the bytes are no manifest of a version that this code reads.
    """
    try:
        tree = json.loads(data)
        ranges = tuple(OffsetRange(**span) for span in tree["ranges"])
        parts = tuple(part_from(part) for part in tree["parts"])
        return SnapshotManifest(**(tree | {"ranges": ranges, "parts": parts}))
    except (ValueError, KeyError, TypeError) as error:
        raise ObjectStoreError(
            f"the snapshot's manifest is damaged: {error}", remedy="Take a new snapshot"
        ) from error
