"""docker-compose.yml as compose's own loader reads it."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values

pytestmark = pytest.mark.integration

CHECKOUT = Path(__file__).resolve().parents[2]
SOURCE = CHECKOUT / "tests" / "fixtures" / "compose_check"


@pytest.fixture(scope="module")
def loader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checker, built once."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("Go is not installed, so compose's loader cannot be built")
    program = tmp_path_factory.mktemp("compose") / "compose_check"
    built = subprocess.run(
        [go, "build", "-o", str(program), "."], cwd=SOURCE, capture_output=True, text=True
    )
    if built.returncode != 0 and "dial tcp" in built.stderr:
        pytest.skip(f"compose's loader cannot be fetched: {built.stderr.splitlines()[-1]}")
    assert built.returncode == 0, built.stderr
    return program


def load(loader: Path, variables: Path) -> subprocess.CompletedProcess[str]:
    """Run the loader without this process's environment."""
    command = [str(loader), str(CHECKOUT / "docker-compose.yml"), str(variables)]
    return subprocess.run(command, capture_output=True, text=True, env={}, cwd=variables.parent)


@pytest.fixture
def generated(tmp_path: Path) -> Path:
    """A `.env` as stack/docker/make-env.sh makes it from the example."""
    folder = tmp_path / "stack" / "docker"
    folder.mkdir(parents=True)
    shutil.copy(CHECKOUT / "stack" / "docker" / "make-env.sh", folder)
    shutil.copy(CHECKOUT / "env" / "example.env", tmp_path / ".env")
    subprocess.run(["bash", str(folder / "make-env.sh")], check=True, capture_output=True)
    return tmp_path / ".env"


def test_compose_accepts_the_file_with_generated_secrets(loader: Path, generated: Path) -> None:
    """With what make-env.sh writes the whole model resolves, secrets in their places."""
    loaded = load(loader, generated)
    assert loaded.returncode == 0, loaded.stderr
    project: dict[str, Any] = json.loads(loaded.stdout)
    secrets = dotenv_values(generated)
    redis_url = project["services"]["stream"]["environment"]["REDIS_URL"]
    assert redis_url == f"redis://:{secrets['REDIS_PASSWORD']}@redis:6379/0"
    assert project["services"]["stream"]["environment"]["KAFKA_BROKER"] == "kafka:19092"


def test_compose_refuses_to_start_without_secrets(loader: Path, tmp_path: Path) -> None:
    """Without a `.env` the loader names a missing secret and where to read about it."""
    (tmp_path / ".env").touch()
    loaded = load(loader, tmp_path / ".env")
    assert loaded.returncode == 1
    assert "docs/compose.md" in loaded.stderr


def test_making_secrets_again_changes_nothing(generated: Path) -> None:
    """The script adds what is missing and keeps what is there; the file is private."""
    before = generated.read_bytes()
    script = generated.parent / "stack" / "docker" / "make-env.sh"
    subprocess.run(["bash", str(script)], check=True, capture_output=True)
    assert generated.read_bytes() == before
    assert generated.stat().st_mode & 0o777 == 0o600
