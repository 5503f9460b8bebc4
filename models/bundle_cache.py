"""Bundles that were fetched on this machine before, shared by all processes of a user.

Each is kept under the digest of its content, which the registry names. What is read is copied and
measured against that digest first: one that is damaged, or was replaced, is fetched again.
"""

import hashlib
import logging
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from contracts.errors import BundleError

logger = logging.getLogger(__name__)

SCRATCH_PREFIX = "new-"
KEPT_BUNDLES = 8
PATIENCE_SECONDS = 20.0
"""So long one process waits for what another one fetches; then it fetches for itself."""


def is_digest(text: str) -> bool:
    """Whether a text is a SHA-256 as `bundle_digest` writes it: safe as a folder's name."""
    return re.fullmatch("[0-9a-f]{64}", text) is not None


def bundle_digest(folder: Path) -> str:
    """SHA-256 of the names and bytes of all files below a folder."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        body = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{len(body)}\0".encode())
        digest.update(body)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class BundleCache:
    """A folder of bundles by digest; without it, or on a full disk, every use is a download."""

    folder: Path
    kept: int = KEPT_BUNDLES
    patience_seconds: float = PATIENCE_SECONDS

    def fetched(
        self,
        digest: str,
        target: Path,
        fetch: Callable[[Path], Path],
        *,
        is_downloaded: bool = False,
    ) -> Path:
        """The folder with a bundle's files, in `target`: a whole copy of what is kept, or new.

        `fetch` brings them into the folder that it is given, and names the one that they are in.
        One process does so, the others wait and copy what it kept. A folder that others may have
        written to is left alone: every use is a download then. `is_downloaded`: this use is one in
        any case, and what came is kept.

        Raises:
            BundleError: what was fetched is not what was registered.
        """
        if not self._is_usable():
            return _whole(fetch(target / "new"), digest)
        if not is_downloaded and self._copied(digest, target / "kept"):
            return target / "kept"
        with self._turn() as is_ours:
            if is_ours and not is_downloaded and self._copied(digest, target / "kept"):
                return target / "kept"
            found = _whole(fetch(target / "new"), digest)
            if is_ours:
                self._keep(found, digest)
            return found

    def _is_usable(self) -> bool:
        try:
            _make_private(self.folder)
        except OSError as error:
            logger.warning("a bundle is downloaded without the cache: %s", error)
            return False
        return True

    def _copied(self, digest: str, target: Path) -> bool:
        """Whether a whole copy was to be had; a kept one may make room for others any time."""
        with suppress(OSError):
            shutil.copytree(self.folder / digest, target)
            if bundle_digest(target) == digest:
                with suppress(OSError):
                    os.utime(self.folder / digest)
                return True
        shutil.rmtree(target, ignore_errors=True)
        return False

    @contextmanager
    def _turn(self) -> Iterator[bool]:
        """Fetch alone for the length of the block; False: nothing can be kept now."""
        lock = FileLock(self.folder / ".lock")
        try:
            lock.acquire(timeout=self.patience_seconds)
        except (OSError, Timeout):
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def _keep(self, found: Path, digest: str) -> None:
        """Copy a bundle beside the others; it gets its name when it is complete."""
        with suppress(OSError):
            scratch = Path(tempfile.mkdtemp(dir=self.folder, prefix=SCRATCH_PREFIX))
            try:
                shutil.copytree(found, scratch, dirs_exist_ok=True)
                os.utime(scratch)  # it came with the date of what was copied
                shutil.rmtree(self.folder / digest, ignore_errors=True)
                scratch.rename(self.folder / digest)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
        self._make_room()

    def _make_room(self) -> None:
        """Drop what was used longest ago, and what killed processes left."""
        with suppress(OSError):
            held = [path for path in self.folder.iterdir() if _is_own_name(path.name)]
            for path in sorted(held, key=lambda path: path.stat().st_mtime)[: -self.kept]:
                shutil.rmtree(path, ignore_errors=True)


def machine_cache() -> BundleCache:
    """The cache of this user on this machine; a folder that a restart of the machine may empty."""
    return BundleCache(Path(tempfile.gettempdir()) / f"fraud-bundles-{os.getuid()}")


def _make_private(folder: Path) -> None:
    """A folder that only this user reads and writes; PermissionError where there is anything else.

    A link counts as something else, wherever it leads: others may have put it there.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    is_private = stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077
    if not is_private or found.st_uid != os.getuid():
        raise PermissionError(f"{folder} is not a folder of this user's alone: remove it")


def _is_own_name(name: str) -> bool:
    return is_digest(name) or name.startswith(SCRATCH_PREFIX)


def _whole(folder: Path, digest: str) -> Path:
    """What was fetched, if it is what was registered."""
    found = bundle_digest(folder)
    if found != digest:
        raise BundleError(
            f"the bundle's files are not those that were registered: not {digest[:12]}",
            value=found[:12],
            remedy="Promote another version, or train again",
        )
    return folder
