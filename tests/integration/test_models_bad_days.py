"""Servers that go away in the middle of a training, tasks that are killed: nothing half-done."""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from inference_rig import register_model
from models_history import make_log
from models_world import settings_with
from restartable import Restartable

from contracts.errors import BundleError, ObjectStoreError, RegistryError
from contracts.settings import Settings, load_settings
from features.definition import FEATURE_SET
from models import steps
from models.promotion import promote
from models.registry import (
    CHALLENGER,
    DIGEST_TAG,
    alias_version,
    champion_version,
    load_bundle,
)
from models.snapshot import take_snapshot
from models.tracking import tracking_client
from stack.layout import HOST, Layout
from stack.object_store import put_and_get
from stack.servers import object_store as object_store_service
from stack.service import Context
from stack.waiting import NotReady

pytestmark = pytest.mark.integration

LEARNING = {"maturity_days": 3, "test_days": 10, "validation_days": 10, "train_days": 30}
ARMS = ("logistic_regression", "xgboost")


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    """Whether a server answers at all."""
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False


def mlflow_server(folder: Path, port: int) -> Restartable:
    """MLflow on a SQLite file and a folder."""
    database = f"sqlite:///{folder}/mlflow.db"
    environment = os.environ | {
        "_MLFLOW_SERVER_FILE_STORE": database,
        "_MLFLOW_SERVER_REGISTRY_STORE": database,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": (folder / "artifacts").as_uri(),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    application = ("-m", "uvicorn", "mlflow.server.fastapi_app:app", "--log-level", "warning")
    return Restartable(
        command=(sys.executable, *application, "--host", HOST, "--port", str(port)),
        environment=environment,
        log=folder / "mlflow.log",
        is_ready=lambda: answers(
            f"http://{HOST}:{port}/api/2.0/mlflow/experiments/get?experiment_id=0"
        ),
    )


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[tuple[Settings, Restartable]]:
    """Settings on an MLflow server that can be killed; objects are in a folder."""
    port = free_port()
    settings = settings_with(tmp_path, **LEARNING)
    known = settings.mlflow.model_copy(update={"tracking_uri": f"http://{HOST}:{port}"})
    server = mlflow_server(tmp_path, port)
    server.start()
    yield settings.model_copy(update={"mlflow": known}), server
    server.kill()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A table with its parent run."""

    table_uri: str
    parent: str


def prepare(settings: Settings) -> Prepared:
    """Snapshot, table and parent run."""
    manifest = take_snapshot(settings, reference="run", log=make_log(settings.kafka))
    table_uri = steps.build_training_table(settings, manifest.uri)
    return Prepared(table_uri, steps.start_training_run(settings, table_uri, "run"))


def train(settings: Settings, prepared: Prepared) -> list[str]:
    """Both arms' runs."""
    plan = steps.plan_arms(settings, ARMS)
    return [
        steps.train_arm(settings, prepared.table_uri, arm, prepared.parent)["run_id"]
        for arm in plan
    ]


def versions(settings: Settings) -> list[str]:
    """What is registered."""
    client = tracking_client(settings.mlflow)
    found = client.search_model_versions(f"name = '{settings.mlflow.model_name}'")
    return [str(version.version) for version in found]


def test_mlflow_gone_before_and_during_registration(
    registry: tuple[Settings, Restartable], tmp_path: Path
) -> None:
    """Every step says RegistryError, nothing is registered; trying again makes one version."""
    settings, server = registry
    prepared = prepare(settings)
    runs = train(settings, prepared)
    order = (settings, prepared.table_uri, runs, prepared.parent)
    server.kill()
    with pytest.raises(RegistryError):
        steps.select_and_register(*order)
    server.start()
    assert versions(settings) == []
    # the server dies once the bundle's files begin to arrive
    watcher = subprocess.Popen(
        [sys.executable, "-c", KILL_WHEN_WRITTEN, str(server.running[-1].pid), str(tmp_path)]
    )
    with pytest.raises(RegistryError):
        steps.select_and_register(*order)
    watcher.wait(60)
    server.kill()
    server.start()
    assert versions(settings) == []
    assert champion_version(settings) is None
    version = steps.select_and_register(*order)
    assert steps.select_and_register(*order) == version
    assert versions(settings) == [version] == [alias_version(settings, CHALLENGER)]


def new_seed() -> int:
    """Of a bundle that this machine has never seen."""
    return random.SystemRandom().randrange(2**31)


def test_a_bundle_is_downloaded_once_a_machine(
    registry: tuple[Settings, Restartable], tmp_path: Path
) -> None:
    """The file store is needed again only for a promotion, the registry always.

    It alone knows what a version is.
    """
    settings, server = registry
    version = register_model(settings, tmp_path / "model", seed=new_seed())
    first = load_bundle(settings, version, feature_hash=FEATURE_SET.hash)
    shutil.rmtree(tmp_path / "artifacts")
    assert load_bundle(settings, version).golden == first.golden
    with pytest.raises(RegistryError, match=f"model version {version}"):
        promote(settings, version, who="ann", why="others could not fetch it")
    assert champion_version(settings) is None
    with pytest.raises(BundleError, match="not in the registry"):
        load_bundle(settings, "99")
    server.kill()
    with pytest.raises(RegistryError, match="does not answer"):
        load_bundle(settings, version)


def test_a_bundle_that_changed_in_the_file_store_is_refused(
    registry: tuple[Settings, Restartable], tmp_path: Path
) -> None:
    """Though it would pass its own test: it is not what was registered."""
    settings, _ = registry
    version = register_model(settings, tmp_path / "model", seed=new_seed())
    (stored,) = (tmp_path / "artifacts").rglob("bundle.json")
    stored.write_text(stored.read_text() + "\n")
    with pytest.raises(BundleError, match="not those that were registered"):
        load_bundle(settings, version)


def test_a_tag_that_is_no_digest_is_refused(
    registry: tuple[Settings, Restartable], tmp_path: Path
) -> None:
    """It would name a folder to read from: asked over HTTP or in the database, it is named."""
    settings, _ = registry
    version = register_model(settings, tmp_path / "model", seed=new_seed())
    client, name = tracking_client(settings.mlflow), settings.mlflow.model_name
    for tag in ("", "../x", f"{tmp_path}/model", "A" * 64, "a" * 64 + "\n"):
        client.set_model_version_tag(name, version, DIGEST_TAG, tag)
        for asked in (settings, settings_with(tmp_path)):
            with pytest.raises(BundleError, match=f"{DIGEST_TAG} of model version {version}") as no:
                load_bundle(asked, version)
            assert no.value.value == tag


KILL_WHEN_WRITTEN = """
import os, signal, sys, time
from pathlib import Path
pid, folder = int(sys.argv[1]), Path(sys.argv[2]) / "artifacts"
deadline = time.monotonic() + 120
while time.monotonic() < deadline and not list(folder.rglob("report/*")):
    time.sleep(0.01)
os.kill(pid, signal.SIGKILL)
"""

TRAIN_SLOWLY = """
import sys
from pathlib import Path
from models_world import settings_with
from models import steps
folder, table_uri, parent, uri = sys.argv[1:]
settings = settings_with(Path(folder), epochs=100000)
known = settings.mlflow.model_copy(update={"tracking_uri": uri})
settings = settings.model_copy(update={"mlflow": known})
arm = steps.plan_arms(settings, ["neural_net"])[0]
steps.train_arm(settings, table_uri, arm, parent)
"""


def test_a_killed_task_leaves_an_arm_that_its_retry_closes(
    registry: tuple[Settings, Restartable], tmp_path: Path
) -> None:
    """kill -9 in the middle of a fit: the retry trains anew and closes the open run."""
    settings, _ = registry
    prepared = prepare(settings)
    arguments = [str(tmp_path), prepared.table_uri, prepared.parent, settings.mlflow.tracking_uri]
    unit = str(Path(__file__).parents[1] / "unit")
    task = subprocess.Popen(
        [sys.executable, "-c", TRAIN_SLOWLY, *arguments],
        env=os.environ | {"PYTHONPATH": f"{unit}:{os.environ.get('PYTHONPATH', '')}"},
    )
    client = tracking_client(settings.mlflow)
    deadline = time.monotonic() + 120
    while "RUNNING" not in child_states(client, prepared.parent):
        assert task.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    task.send_signal(signal.SIGKILL)
    task.wait()
    assert versions(settings) == []
    arm = steps.plan_arms(settings, ["neural_net"])[0]
    again = steps.train_arm(settings, prepared.table_uri, arm, prepared.parent)
    assert sorted(child_states(client, prepared.parent)) == ["FINISHED", "KILLED"]
    run = [again["run_id"]]
    assert steps.select_and_register(settings, prepared.table_uri, run, prepared.parent) == "1"


def child_states(client: object, parent: str) -> list[str]:
    """The states of a training's arms."""
    runs = client.search_runs(  # type: ignore[attr-defined]
        [client.get_run(parent).info.experiment_id],  # type: ignore[attr-defined]
        filter_string=f"tags.`mlflow.parentRunId` = '{parent}'",
    )
    return [run.info.status for run in runs]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[tuple[Settings, Restartable]]:
    """Settings on an S3 server that can be killed."""
    layout = Layout(tmp_path / "stack", random.Random().randrange(20_000, 31_000))
    given = {
        "MINIO_HOST": f"http://{HOST}:{layout.port('objectstore')}",
        "MINIO_ACCESS_KEY": "test",
        "MINIO_SECRET_KEY": "test-secret",
    }
    settings = settings_with(tmp_path, **LEARNING)
    checkout = Path(__file__).resolve().parents[2]
    known = load_settings(checkout, environ=given).object_store
    settings = settings.model_copy(update={"object_store": known})
    service = object_store_service(Context(layout, settings, {}))
    service.prepare(lambda: False)
    server = Restartable(
        command=service.command,
        environment=os.environ | dict(service.environment),
        log=tmp_path / "objectstore.log",
        is_ready=lambda: stores(settings),
    )
    server.start()
    yield settings, server
    server.kill()


def stores(settings: Settings) -> bool:
    """Whether the store keeps and gives back, its bucket included."""
    try:
        put_and_get(settings.object_store)
    except NotReady:
        return False
    return True


def test_s3_gone_in_the_middle_is_one_clear_error(store: tuple[Settings, Restartable]) -> None:
    """Snapshot and table fail with the address, leave no half object, and go on when it is back."""
    settings, server = store
    log = make_log(settings.kafka)
    server.kill()
    with pytest.raises(ObjectStoreError, match="MINIO_HOST"):
        take_snapshot(settings, reference="run", log=log)
    server.start()
    manifest = take_snapshot(settings, reference="run", log=log)
    server.kill()
    with pytest.raises(ObjectStoreError, match="MINIO_HOST"):
        steps.build_training_table(settings, manifest.uri)
    server.start()
    table_uri = steps.build_training_table(settings, manifest.uri)
    assert steps.build_training_table(settings, manifest.uri) == table_uri
    assert take_snapshot(settings, reference="run", log=log) == manifest
