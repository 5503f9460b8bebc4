"""Generated secrets and addresses."""

import shutil
import socket
import stat
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from contracts.errors import StackError
from contracts.settings import load_settings
from stack.credentials import (
    SECRETS,
    ensure_local_env,
    recorded,
    redis_password,
    redis_url,
    wanted_offset,
    write_private,
)
from stack.layout import LONGEST_SOCKET_PATH, Layout

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty checkout with the real defaults."""
    (tmp_path / "config").mkdir()
    shutil.copy(CHECKOUT / "config" / "config.yaml", tmp_path / "config")
    return tmp_path


def test_secrets_are_made_once(root: Path) -> None:
    """A second start keeps every secret of the first."""
    assert ensure_local_env(Layout(root)) == ensure_local_env(Layout(root))


def test_secrets_differ_between_checkouts(
    root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No secret is a constant of the code."""
    other = ensure_local_env(Layout(tmp_path_factory.mktemp("other")))
    mine = ensure_local_env(Layout(root))
    assert all(mine[name] != other[name] for name in SECRETS)


def test_the_file_is_its_owners_alone(root: Path) -> None:
    """The file of secrets has mode 600, also when it replaces a wider one."""
    path = Layout(root).local_env
    path.parent.mkdir()
    path.touch(mode=0o644)
    ensure_local_env(Layout(root))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_another_offset_moves_addresses_and_keeps_secrets(root: Path) -> None:
    """After a change of offset the data's passwords still fit, and every address has moved."""
    before = ensure_local_env(Layout(root))
    after = ensure_local_env(Layout(root, 1000))
    assert after["KAFKA_BROKER"] == "127.0.0.1:10092"
    assert after["DB_PASSWORD"] == before["DB_PASSWORD"]
    assert redis_password(after["REDIS_URL"]) == redis_password(before["REDIS_URL"])


def test_redis_is_reached_by_its_socket() -> None:
    """Whatever the path's characters; by its port where the kernel takes no path so long."""
    layout = Layout(Path("/srv/it's 100%, here?"), 1000)
    address = redis_url(layout, "secret")
    assert address == "unix://:secret@/srv/it%27s%20100%25%2C%20here%3F/.fraud/run/redis.sock?db=0"
    assert redis_password(address) == "secret"
    settings = load_settings(CHECKOUT, environ={"REDIS_URL": address})
    assert settings.redis.socket == layout.redis_socket == layout.run / "redis.sock"
    for deep in ("deep" * 25, "dé" * 30):  # bytes count
        layout = Layout(Path("/srv") / deep, 1000)
        settings = load_settings(CHECKOUT, environ={"REDIS_URL": redis_url(layout, "secret")})
        assert settings.redis.url == "redis://:secret@127.0.0.1:7379/0"
        assert settings.redis.socket is layout.redis_socket is None


def test_the_longest_socket_path_is_one_that_the_kernel_takes() -> None:
    """A socket can be made of a path as long as that."""
    with (
        tempfile.TemporaryDirectory() as folder,  # pytest's own is too deep already
        closing(socket.socket(socket.AF_UNIX)) as listener,
    ):
        path = f"{folder}/".ljust(LONGEST_SOCKET_PATH, "x")
        listener.bind(path)
        assert len(path) == LONGEST_SOCKET_PATH


def test_the_settings_read_what_was_generated(root: Path) -> None:
    """`load_settings` takes the generated file: no unknown name, addresses and secrets in place."""
    values = ensure_local_env(Layout(root, 1000))
    settings = load_settings(root, environ={})
    assert settings.kafka.broker == values["KAFKA_BROKER"]
    assert settings.airflow.password.get_secret_value() == values["AIRFLOW_PASSWORD"]
    assert settings.spark.ui_port == 5040


def test_settings_hide_every_generated_secret(root: Path) -> None:
    """The settings' text shows no password, key or Redis address."""
    values = ensure_local_env(Layout(root))
    shown = repr(load_settings(root, environ={}))
    assert not [name for name in SECRETS if values[name] in shown]


def test_the_environment_wins_over_files_for_the_offset(root: Path) -> None:
    """FRAUD_PORT_OFFSET: environment, then `.env`, then the last start."""
    ensure_local_env(Layout(root, 3000))
    assert wanted_offset(root, {}) == 3000
    (root / ".env").write_text("FRAUD_PORT_OFFSET=2000\n")
    assert wanted_offset(root, {}) == 2000
    assert wanted_offset(root, {"FRAUD_PORT_OFFSET": "1000"}) == 1000


def test_a_wrong_offset_in_the_file_is_told(root: Path) -> None:
    """A misspelt offset in `.env` is an error with a remedy, not a crash."""
    (root / ".env").write_text("FRAUD_PORT_OFFSET=many\n")
    with pytest.raises(StackError, match="for example 1000"):
        wanted_offset(root, {})


def test_a_private_file_is_never_half_written(tmp_path: Path) -> None:
    """A replaced file holds the new text whole and leaves no scratch file beside it."""
    path = tmp_path / "secret"
    write_private(path, "one")
    write_private(path, "two")
    assert path.read_text() == "two"
    assert list(tmp_path.iterdir()) == [path]


def test_before_the_first_start_nothing_is_recorded(root: Path) -> None:
    """Reading an absent file gives nothing and makes nothing."""
    assert recorded(root) == {}
    assert not (root / ".fraud").exists()
