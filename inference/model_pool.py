"""Model versions held by this process, and the thread that follows the champion.

A new champion is loaded and tested beside the old one; only a version that passed is ever proposed.
Whatever goes wrong, the old version stays, and the trouble is said once.
"""

import itertools
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from contracts.errors import BundleError, FraudError
from contracts.settings import Settings
from inference.notes import MODEL, MemoryNotes, Notes
from inference.ports import Model
from inference.threads import survive

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.2
LOOKS_PER_CHALLENGER = 25
AGAIN_SECONDS = 10.0
"""A download that failed is not tried again sooner."""
HELD_VERSIONS = 4


class Registry(Protocol):
    """Where champions come from."""

    def champion_version(self) -> str | None:
        """The version behind the alias, None when there is none; RegistryError if unreachable."""

    def challenger_version(self) -> str | None:
        """The same for the challenger."""

    def load(self, version: str) -> Model:
        """Load a version and test it; RegistryError or BundleError when that fails."""


class MlflowRegistry:
    """The registry of the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def champion_version(self) -> str | None:
        """See `Registry`."""
        from models.registry import champion_version

        return champion_version(self._settings)

    def challenger_version(self) -> str | None:
        """See `Registry`."""
        from models.registry import CHALLENGER, alias_version

        return alias_version(self._settings, CHALLENGER)

    def load(self, version: str) -> Model:
        """See `Registry`."""
        from models.registry import load_bundle

        return load_bundle(self._settings, version)

    def snapshot_ranges(self, version: str) -> Mapping[int, int]:
        """Partition to the offset after the snapshot that a version was trained on."""
        from models.registry import snapshot_ranges

        return snapshot_ranges(self._settings, version)


@dataclass(frozen=True, slots=True)
class Failure:
    """A version that could not be loaded, why, and when another try is worth it."""

    version: str
    error: FraudError
    again_at: float

    @classmethod
    def of(cls, version: str, error: FraudError, now: float) -> "Failure":
        """A version never changes, so one that was refused stays so; another trouble may pass."""
        is_final = isinstance(error, BundleError)
        return cls(version, error, math.inf if is_final else now + AGAIN_SECONDS)


class ModelPool:
    """Loaded versions by name; `champion` is the newest one that is ready."""

    def __init__(
        self,
        registry: Registry,
        feature_hash: str,
        *,
        notes: Notes | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._notes = notes or MemoryNotes()
        self._registry = registry
        self._feature_hash = feature_hash
        self._held: dict[str, Model] = {}
        self._loading = threading.Lock()
        self._champion: Model | None = None
        self._challenger: Model | None = None
        self._trouble: FraudError | None = None
        self._failure: Failure | None = None
        self._told: Mapping[str, str | None] = {}
        self._refused = ""
        self._stop = threading.Event()

    @property
    def champion(self) -> Model | None:
        """What to propose for the next batch; None before the first champion."""
        return self._champion

    @property
    def challenger(self) -> Model | None:
        """What scores in shadow; None without a usable one, or when it is the champion itself."""
        return self._challenger

    def get(self, version: str) -> Model:
        """A version, loaded now unless it is held.

        Raises:
            RegistryError: it cannot be loaded.
        """
        held = self._held.get(version)
        if held is not None:  # decisions need not wait while the watch loads another
            return held
        with self._loading:
            if version not in self._held:
                self._hold(self._registry.load(version))
            return self._held[version]

    def _hold(self, model: Model) -> None:
        if model.feature_hash != self._feature_hash:
            raise BundleError(
                f"model version {model.version} was made for feature set {model.feature_hash}",
                value=self._feature_hash,
                remedy="Run the code of that feature set, or train a model for this one",
            )
        self._held[model.version] = model
        for version in list(self._held)[:-HELD_VERSIONS]:
            del self._held[version]

    def refresh(self) -> None:
        """Look at the alias once; load and take over what it names, or keep what is there."""
        try:
            version = self._registry.champion_version()
        except FraudError as error:
            self._complain(error)
        else:
            self._follow(version)
        self._tell()

    def _follow(self, version: str | None) -> None:
        failed = self._failure
        if version is None or version == self._version:
            self._trouble = self._failure = None
        elif failed is None or failed.version != version or self._clock() >= failed.again_at:
            self._take_over(version)
        else:
            self._complain(failed.error)

    def _take_over(self, version: str) -> None:
        try:
            self._champion = self.get(version)
        except FraudError as error:
            self._failure = Failure.of(version, error, self._clock())
            self._complain(error)
        else:
            self._trouble = self._failure = None
            logger.info("champion is version %s", version)

    def _tell(self, *, again: bool = False) -> None:
        """Note what decides, and what is wrong with the version that should; `again`: as before."""
        trouble = self._trouble
        news = {} if trouble is None else {"trouble": trouble.said, "remedy": trouble.remedy}
        body = {"held": self._version, **news}
        if again or body != self._told:
            self._notes.write(MODEL, body)
        self._told = body

    def refresh_challenger(self) -> None:
        """Follow the challenger's alias; one that cannot be used is left out, and said once."""
        version = None
        try:
            version = self._registry.challenger_version()
            is_rival = version is not None and version not in (self._refused, self._version)
            self._challenger = self.get(version) if version and is_rival else None
        except FraudError as error:
            self._challenger = None
            if isinstance(error, BundleError):  # another trouble may pass
                self._refused = version or ""
            if version is not None:
                logger.warning("no shadow by version %s: %s", version, error)

    @property
    def _version(self) -> str | None:
        return None if self._champion is None else self._champion.version

    def _complain(self, trouble: FraudError) -> None:
        if str(trouble) != str(self._trouble):
            kept = self._champion.version if self._champion else "the fallback rules"
            logger.warning("keeping %s: %s", kept, trouble)
        self._trouble = trouble

    def follow(self, *, poll_seconds: float = POLL_SECONDS) -> None:
        """Refresh in the background until `close`."""
        thread = threading.Thread(target=self._watch, args=(poll_seconds,), daemon=True)
        thread.name = "champion-watch"
        thread.start()

    def _watch(self, poll_seconds: float) -> None:
        for look in itertools.count():
            if self._stop.wait(poll_seconds):
                return
            survive(self.refresh)
            if look % LOOKS_PER_CHALLENGER == 0:
                survive(self.refresh_challenger)
                survive(lambda: self._tell(again=True))  # Redis may have been emptied

    def close(self) -> None:
        """Stop the background refresh."""
        self._stop.set()
