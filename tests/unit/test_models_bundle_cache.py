"""A bundle is downloaded once a machine, and never used unless it is what was registered."""

import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from filelock import FileLock

from contracts.errors import BundleError, RegistryError
from models.bundle_cache import BundleCache, bundle_digest, machine_cache


def make_bundle(folder: Path, text: str = "trees") -> Path:
    """A bundle of two files, one in a folder."""
    (folder / "inside").mkdir(parents=True)
    (folder / "bundle.json").write_text(f'{{"model": "{text}"}}')
    (folder / "inside" / "model.ubj").write_bytes(text.encode())
    return folder


class Store:
    """A file store that counts downloads; `failure` is raised in the middle of one."""

    def __init__(self, bundle: Path) -> None:
        self.bundle, self.downloads = bundle, 0
        self.failure: Exception | None = None

    def fetch(self, target: Path) -> Path:
        """Copy the bundle, half of it where the store fails."""
        self.downloads += 1
        target.mkdir()
        shutil.copy(self.bundle / "bundle.json", target)
        if self.failure is not None:
            raise self.failure
        return Path(shutil.copytree(self.bundle, target, dirs_exist_ok=True))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with one bundle."""
    return Store(make_bundle(tmp_path / "store"))


class Machine:
    """A cache, and processes on it that each want the bundle in a new folder of theirs."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.cache, self.store = BundleCache(folder / "cache", kept=3), store
        self._scratch, self._uses = folder / "scratch", 0

    @property
    def digest(self) -> str:
        """What the store's bundle was registered as."""
        return bundle_digest(self.store.bundle)

    def use(
        self,
        digest: str = "",
        fetch: Callable[[Path], Path] | None = None,
        *,
        is_downloaded: bool = False,
    ) -> Path:
        """Get a bundle; where it is."""
        self._uses += 1
        target = self._scratch / str(self._uses)
        target.mkdir(parents=True)
        fetch = fetch or self.store.fetch
        return self.cache.fetched(digest or self.digest, target, fetch, is_downloaded=is_downloaded)


@pytest.fixture
def machine(tmp_path: Path, store: Store) -> Machine:
    """A machine that has fetched nothing yet."""
    return Machine(tmp_path, store)


def test_the_second_use_on_a_machine_downloads_nothing(machine: Machine) -> None:
    """It reads the same bytes, from a copy that nobody else writes to."""
    first, second = machine.use(), machine.use()
    assert machine.store.downloads == 1
    assert first != second
    assert bundle_digest(second) == machine.digest
    assert machine.cache.folder not in second.parents


def test_a_use_that_is_to_download_does_so_and_keeps_what_came(machine: Machine) -> None:
    """It shows whether the store still has the bundle, and spares others their download."""
    for downloads in (1, 2):
        machine.use(is_downloaded=True)
        assert machine.store.downloads == downloads
    machine.use()
    assert machine.store.downloads == 2
    machine.store.failure = RegistryError("no such object")
    with pytest.raises(RegistryError, match="no such object"):
        machine.use(is_downloaded=True)


def cut_short(kept: Path) -> None:
    """A file ends early, as after a power cut."""
    (kept / "inside" / "model.ubj").write_bytes(b"tre")


def lose_a_file(kept: Path) -> None:
    """A file is gone."""
    (kept / "bundle.json").unlink()


def gain_a_file(kept: Path) -> None:
    """A file has come that nobody registered."""
    (kept / "predictor.json").write_text("{}")


def swap_bytes(kept: Path) -> None:
    """Other content of the same length and name."""
    (kept / "inside" / "model.ubj").write_bytes(b"seert")


@pytest.mark.parametrize("damage", [cut_short, lose_a_file, gain_a_file, swap_bytes])
def test_a_damaged_bundle_is_fetched_again(
    machine: Machine, damage: Callable[[Path], None]
) -> None:
    """What is kept counts only while its content is what was registered; then it is kept anew."""
    machine.use()
    damage(machine.cache.folder / machine.digest)
    assert bundle_digest(machine.use()) == machine.digest
    assert machine.store.downloads == 2
    machine.use()
    assert machine.store.downloads == 2


def test_what_was_not_registered_so_is_refused_and_not_kept(machine: Machine) -> None:
    """A store whose files have changed gives no bundle, now or later."""
    digest = machine.digest
    (machine.store.bundle / "bundle.json").write_text("{}")
    for downloads in (1, 2):
        with pytest.raises(BundleError, match="not those that were registered"):
            machine.use(digest)
        assert machine.store.downloads == downloads


def test_a_download_that_breaks_off_leaves_nothing(machine: Machine) -> None:
    """Half a bundle is not used; the next use begins anew."""
    machine.store.failure = RegistryError("connection reset")
    with pytest.raises(RegistryError, match="reset"):
        machine.use()
    machine.store.failure = None
    assert bundle_digest(machine.use()) == machine.digest


def test_the_least_used_make_room(machine: Machine, tmp_path: Path) -> None:
    """As many stay as may be kept: those used last, and nothing that a killed process left."""
    machine.cache.folder.mkdir(mode=0o700)
    (machine.cache.folder / "new-left").mkdir()
    os.utime(machine.cache.folder / "new-left", (1, 1))
    digests = []
    for number in range(4):
        machine.store.bundle = make_bundle(tmp_path / f"other-{number}", str(number))
        digests.append(machine.digest)
        machine.use()
        os.utime(machine.cache.folder / machine.digest, (2 + number, 2 + number))
        if number == 2:
            machine.use(digests[0])
    held = {path.name for path in machine.cache.folder.iterdir() if path.is_dir()}
    assert held == {digests[0], digests[2], digests[3]}


def test_one_process_fetches_and_the_others_take_its_copy(machine: Machine) -> None:
    """All who want a bundle at once cost its store one download."""
    is_asked, may_answer = threading.Event(), threading.Event()

    def slowly(target: Path) -> Path:
        is_asked.set()
        assert may_answer.wait(10)
        return machine.store.fetch(target)

    with ThreadPoolExecutor(2) as processes:
        first = processes.submit(machine.use, fetch=slowly)
        assert is_asked.wait(10)
        second = processes.submit(machine.use)
        may_answer.set()
        assert bundle_digest(second.result(10)) == bundle_digest(first.result(10))
    assert machine.store.downloads == 1


def test_nobody_waits_for_ever_for_a_download_that_hangs(machine: Machine) -> None:
    """After a while a process fetches for itself, and leaves the keeping to the other."""
    machine.cache = BundleCache(machine.cache.folder, patience_seconds=0.0)
    machine.cache.folder.mkdir(mode=0o700)
    with FileLock(machine.cache.folder / ".lock"):
        assert bundle_digest(machine.use()) == machine.digest
    assert not (machine.cache.folder / machine.digest).exists()


def test_without_a_folder_to_keep_in_every_use_downloads(machine: Machine) -> None:
    """A cache that cannot be had takes nothing away."""
    machine.cache.folder.write_text("in the way")
    for downloads in (1, 2):
        assert bundle_digest(machine.use()) == machine.digest
        assert machine.store.downloads == downloads


def make_link(folder: Path, victim: Path) -> None:
    """A link to a folder of the user's own."""
    folder.symlink_to(victim)


def open_to_all(folder: Path, victim: Path) -> None:
    """A folder of the user's own that everybody writes to, with the victim's files."""
    shutil.copytree(victim, folder)
    folder.chmod(0o777)


@pytest.mark.parametrize("plant", [make_link, open_to_all])
def test_a_folder_that_others_may_have_made_is_not_used(
    machine: Machine,
    tmp_path: Path,
    plant: Callable[[Path, Path], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing is read from it, written to it or removed there; that it is so is said."""
    victim = tmp_path / "victim"
    shutil.copytree(machine.store.bundle, victim / machine.digest)
    for number in range(machine.cache.kept + 1):
        (victim / f"{number:064}").mkdir()
    plant(machine.cache.folder, victim)
    before = sorted(machine.cache.folder.iterdir())
    assert bundle_digest(machine.use()) == machine.digest
    assert machine.store.downloads == 1
    assert sorted(machine.cache.folder.iterdir()) == before
    (said,) = caplog.messages
    assert f"{machine.cache.folder} is not a folder of this user's alone" in said


def test_only_folders_of_the_caches_own_make_room(machine: Machine) -> None:
    """What has another name was put there by somebody, and stays."""
    machine.use()
    foreign = [machine.cache.folder / f"letters-{number}" for number in range(4)]
    for folder in foreign:
        folder.mkdir()
    shutil.rmtree(machine.cache.folder / machine.digest)
    machine.use()
    assert all(folder.is_dir() for folder in foreign)


def test_a_bundle_with_an_old_date_is_the_newest_when_it_comes(
    machine: Machine, tmp_path: Path
) -> None:
    """The use counts, not when the store's folder was written."""
    for number in range(machine.cache.kept + 1):
        machine.store.bundle = make_bundle(tmp_path / f"other-{number}", str(number))
        os.utime(machine.store.bundle, (1, 1))
        machine.use()
        assert (machine.cache.folder / machine.digest).is_dir()


def test_a_users_cache_is_its_own() -> None:
    """Users of a machine do not read each other's bundles."""
    assert str(os.getuid()) in machine_cache().folder.name
