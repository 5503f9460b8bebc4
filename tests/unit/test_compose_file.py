"""docker-compose.yml and what it builds: names, images, secrets, health, ports, order."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from contracts.settings import STACK_VARIABLES, VARIABLES

CHECKOUT = Path(__file__).resolve().parents[2]
TEXT = (CHECKOUT / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONE_SHOT = {"init", "airflow-migrate"}
"""Services that end when their work is done."""
INTERPOLATION = re.compile(r"\$\{([A-Z_]+)(:[-?][^}]*)?\}")
SECRET = re.compile(r"PASSWORD|SECRET|FERNET|ACCESS_KEY")
OWN_IMAGE = re.compile(r"^fraud-[a-z]+:\d")
DOCKERFILES = sorted(CHECKOUT.glob("**/Dockerfile"))
DOCKERFILES = [path for path in DOCKERFILES if ".venv" not in path.parts]


def environment(service: dict[str, Any]) -> dict[str, str]:
    """A service's variables."""
    found: dict[str, str] = service.get("environment", {})
    return found


def test_every_service_of_the_platform_is_there() -> None:
    """The same parts as the local stack, Airflow as its four processes, Spark as two."""
    wanted = [
        "postgres",
        "kafka",
        "minio",
        "redis",
        "mlflow",
        "airflow-api-server",
        "airflow-scheduler",
        "airflow-dag-processor",
        "airflow-triggerer",
        "spark-master",
        "spark-worker",
        "producer",
        "tiles",
        "stream",
    ]
    assert set(wanted) | ONE_SHOT == set(SERVICES)


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_is_pinned(name: str) -> None:
    """An image has a full version; our own ones are built from a Dockerfile that exists."""
    service = SERVICES[name]
    assert re.search(r":[^:/]*\d+(\.\d+|-\d+)", service["image"]), service["image"]
    assert "latest" not in service["image"]
    if OWN_IMAGE.match(service["image"]):
        build = service["build"]
        dockerfile = CHECKOUT / build["context"] / build.get("dockerfile", "Dockerfile")
        assert dockerfile.is_file()


@pytest.mark.parametrize("name", sorted(set(SERVICES) - ONE_SHOT))
def test_every_lasting_service_has_a_health_check_and_restarts(name: str) -> None:
    """Others wait for its health, and it comes back after a crash."""
    assert SERVICES[name]["healthcheck"]["test"]
    assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_waits_for_health_or_completion(name: str) -> None:
    """`depends_on` names services that exist, with a condition that they can reach."""
    for other, rule in SERVICES[name].get("depends_on", {}).items():
        wanted = "service_completed_successfully" if other in ONE_SHOT else "service_healthy"
        assert rule["condition"] == wanted, f"{name} waits for {other}"


def test_no_circle_of_services_waits_for_itself() -> None:
    """There is an order in which everything can start."""
    waiting = {name: set(service.get("depends_on", {})) for name, service in SERVICES.items()}
    started: set[str] = set()
    while ready := [name for name, others in waiting.items() if others <= started]:
        started |= set(ready)
        waiting = {name: others for name, others in waiting.items() if name not in started}
    assert not waiting


def test_only_known_variables_are_used() -> None:
    """Every name that compose reads from `.env` stands in env/example.env."""
    used = {match[1] for match in INTERPOLATION.finditer(TEXT)}
    assert used <= {*VARIABLES, *STACK_VARIABLES}


def test_every_settings_variable_reaches_our_programs() -> None:
    """A name that the settings know works in containers too."""
    for name in ("producer", "stream", "airflow-scheduler", "init"):
        assert set(VARIABLES) <= set(environment(SERVICES[name]))


def test_there_is_no_default_credential() -> None:
    """A secret comes from `.env` or compose refuses to start; no value stands in the file."""
    for match in INTERPOLATION.finditer(TEXT):
        if SECRET.search(match[1]) and match[1] != "KAFKA_PASSWORD":
            assert (match[2] or "").startswith(":?"), match[0]
    for name, service in SERVICES.items():
        for variable, value in environment(service).items():
            if SECRET.search(variable) and "FILE" not in variable:
                assert "${" in str(value), f"{name}: {variable}"


def test_pages_and_servers_have_their_ports_on_this_machine_alone() -> None:
    """The ports of the guide, each bound to the loopback address and used once."""
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in ports)
    published = [int(port.split(":")[1]) for port in ports]
    assert len(set(published)) == len(published)
    assert {3333, 5500, 4040, 9000, 9092, 5432, 6379} <= set(published)


def test_data_lives_in_named_volumes() -> None:
    """Every mounted volume is declared, every declared one is mounted, every bind exists."""
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", [])]
    sources = [mount.split(":")[0] for mount in mounts]
    named = {source for source in sources if not source.startswith((".", "/"))}
    assert named == set(COMPOSE["volumes"])
    assert all((CHECKOUT / source).exists() for source in sources if source.startswith("."))
    for name in ("postgres", "kafka", "minio", "redis"):
        assert any(mount.split(":")[0] in named for mount in SERVICES[name]["volumes"])


def test_the_generated_file_has_every_required_secret() -> None:
    """What compose insists on is what stack/docker/make-env.sh makes."""
    script = (CHECKOUT / "stack" / "docker" / "make-env.sh").read_text(encoding="utf-8")
    required = {m[1] for m in INTERPOLATION.finditer(TEXT) if (m[2] or "").startswith(":?")}
    assert [name for name in sorted(required) if not re.search(rf"\b{name}\b", script)] == []


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_images_are_built_on_pinned_ones_and_run_without_root(path: Path) -> None:
    """FROM names a full version, and the last USER is an ordinary one."""
    text = path.read_text(encoding="utf-8")
    assert re.search(r"^FROM \S+:\d+\.\d+\.\d+\S*$", text, re.MULTILINE)
    users = re.findall(r"^USER (\S+)$", text, re.MULTILINE)
    assert users[-1] not in ("root", "0")


def test_mlflow_s_image_has_the_versions_of_the_lock() -> None:
    """Server and clients are the same release."""
    lock = (CHECKOUT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    text = (CHECKOUT / "mlflow" / "Dockerfile").read_text(encoding="utf-8")
    pins = re.findall(r"[a-z0-9-]+==[\d.]+", text)
    assert len(pins) == 3
    assert [pin for pin in pins if pin not in lock] == []


def test_airflow_s_image_has_the_version_of_the_lock() -> None:
    """The base image's Airflow is the one that the DAGs are tested with."""
    text = (CHECKOUT / "stack" / "docker" / "airflow" / "Dockerfile").read_text(encoding="utf-8")
    version = re.search(r"FROM apache/airflow:([\d.]+)-", text)
    assert version is not None
    lock = (CHECKOUT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    assert f"apache-airflow=={version[1]}" in lock


def test_the_mlflow_folder_holds_no_python() -> None:
    """A module there would hide the library of the same name."""
    assert list((CHECKOUT / "mlflow").glob("**/*.py")) == []


def test_images_get_no_secrets_or_local_state() -> None:
    """What is copied into an image is named one by one; `.env` and `.fraud` are not among it."""
    lines = (CHECKOUT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "*"
    assert not any(line.startswith(("!.env", "!.fraud", "!env")) for line in lines)


def test_every_command_of_ours_exists() -> None:
    """What a container runs as `fraud …` is a command that this code has."""
    from cli.application import app

    commands = [" ".join(service.get("command", ())) for service in SERVICES.values()]
    commands.append((CHECKOUT / "stack" / "docker" / "app" / "supervisord.conf").read_text())
    found = re.findall(r"\bfraud ([a-z-]+)(?: ([a-z]+))?", "\n".join(commands))
    assert len(found) == 4
    for name, subcommand in found:
        command = typer.main.get_group(app).commands[name]
        assert not subcommand or subcommand in command.commands
