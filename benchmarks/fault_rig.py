"""Servers and stream under the product's own supervisor, which starts again what is killed."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import yaml
from stream_rig import (
    EARLIEST,
    Rig,
    await_true,
    process_is_alive,
    say,
    scratch_home,
    servers_are_up,
)

from contracts.settings import Settings, load_settings
from inference.warm import load_kernels
from stack.layout import Layout, environment_bin
from stack.object_store import put_and_get
from stack.service import Context, Service
from stack.services import services
from stack.supervision import ProcessInfo, Supervisor, connect, launch, write_configuration
from stack.waiting import NotReady

SERVERS = ("kafka", "redis", "objectstore", "mlflow")
STREAMS = {"spark": "stream", "direct": "direct"}
"""Runner to service."""
ON_SMALL_DISK = "stream-on-small-disk"
SMALL_DISK_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SupervisedRig:
    """A rig whose processes can be killed; `layout` holds its ports and logs."""

    rig: Rig
    layout: Layout
    supervisor: Supervisor

    def process(self, service: str) -> psutil.Process:
        """The supervised process itself."""
        return psutil.Process(self._info(service).pid)

    def kill(self, service: str) -> None:
        """As the kernel does when memory runs out."""
        self.process(service).send_signal(signal.SIGKILL)

    def start(self, service: str) -> None:
        """Start a service; returns when the supervisor has."""
        self.supervisor.start(service)
        await_true(lambda: self._info(service).pid > 0, f"the start of {service}", 30)

    def stop(self, service: str) -> None:
        """Stop a service and wait for its end."""
        self.supervisor.stop(service)
        await_true(lambda: self._info(service).pid == 0, f"the end of {service}", 60)

    def log(self, service: str) -> Path:
        """What a service says."""
        return self.layout.logs / f"{service}.log"

    def _info(self, service: str) -> ProcessInfo:
        return self.supervisor.processes()[service]

    def with_topics(self) -> "SupervisedRig":
        """New, empty topics and no checkpoint, for services that are started from now on."""
        shutil.rmtree(checkpoint_of(self.rig.home), ignore_errors=True)
        return replace(self, rig=self.rig.fresh_topics())

    def with_master(self, master: str) -> None:
        """Have the job, once it is started again, run on this Spark master."""
        path = self.rig.home / "config" / "config.yaml"
        tree = yaml.safe_load(path.read_text())
        tree["spark"]["master"] = master
        path.write_text(yaml.safe_dump(tree))


def checkpoint_of(home: Path) -> Path:
    """The folder with the job's checkpoint."""
    return home / ".fraud" / "data" / "stream"


@contextmanager
def supervised_rig(*, with_registry: bool = True) -> Iterator[SupervisedRig]:
    """Start the servers under supervision in a scratch folder; all end with the block.

    Without MLflow and the object store the registry is a file.
    """
    names = SERVERS if with_registry else SERVERS[:2]
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        home = Path(folder)
        layout = scratch_home(home)
        settings = _settings(home, layout, with_registry)
        context = Context(layout, settings, defaultdict(str))
        table = {service.name: service for service in _table(context)}
        for name in names:
            table[name].prepare(lambda: False)
        write_configuration(context, tuple(table.values()))
        load_kernels()  # compiled once, as in a checkout that has been used
        say(f"starting {', '.join(names)} with port offset {layout.offset}")
        launch(context)
        world = SupervisedRig(Rig(home, settings), layout, connect(context))
        try:
            for name in names:
                world.start(name)
            await_true(lambda: _are_up(settings, with_registry), "the servers' start", 180)
            yield world
        finally:
            _shut_down(world)


def _settings(home: Path, layout: Layout, with_registry: bool) -> Settings:
    path = home / "config" / "config.yaml"
    tree = yaml.safe_load(path.read_text())
    tree["supervisor"] = {"url": layout.url("supervisor"), "password": "bench"}
    store = {"host": layout.url("objectstore"), "access_key": "bench", "secret_key": "benchbench"}
    tree["object_store"] |= store
    tree["spark"]["starting"] = EARLIEST
    if not with_registry:
        tree["mlflow"]["tracking_uri"] = f"sqlite:///{home}/mlflow.db"
    path.write_text(yaml.safe_dump(tree))
    return load_settings(home, environ={})


def _table(context: Context) -> Iterator[Service]:
    """The stack's own services as far as they are used here, and the direct consumer."""
    known = {service.name: service for service in services(context)}
    fraud = str(environment_bin() / "fraud")
    yield from (known[name] for name in ("kafka", "redis", "objectstore", "tiles", "stream"))
    yield _on_a_file(known["mlflow"], context.layout.root)
    options = ("--group", "faults", "--starting", EARLIEST)
    yield replace(known["stream"], name="direct", command=(fraud, "stream", "direct", *options))
    inside = f'exec nsenter --target "$(cat {context.layout.run}/disk.pid)" --user --mount "$@"'
    command = ("sh", "-c", inside, "sh", fraud, "stream", "run")
    yield replace(known["stream"], name=ON_SMALL_DISK, command=command)


def _on_a_file(mlflow: Service, home: Path) -> Service:
    """MLflow without Postgres."""
    database = f"sqlite:///{home}/mlflow.db"
    names = ("_MLFLOW_SERVER_FILE_STORE", "_MLFLOW_SERVER_REGISTRY_STORE")
    uris = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
    own = dict.fromkeys((*names, *uris), database)
    return replace(mlflow, environment={**mlflow.environment, **own})


def _are_up(settings: Settings, with_registry: bool) -> bool:
    try:
        if with_registry:
            put_and_get(settings.object_store)
    except NotReady:
        return False
    return servers_are_up(settings)


def _shut_down(world: SupervisedRig) -> None:
    """End supervisor and services, and whatever a killed one left behind."""
    supervisor = psutil.Process(int((world.layout.run / "supervisord.pid").read_text()))
    left = supervisor.children(recursive=True)
    world.supervisor.shut_down()
    with suppress(psutil.TimeoutExpired):
        supervisor.wait(60)
    for child in [supervisor, *left]:
        with suppress(psutil.NoSuchProcess):
            child.kill()


@contextmanager
def small_disk(world: SupervisedRig) -> Iterator[Path]:
    """A file system of 4 MB where the checkpoint is, for `stream-on-small-disk`; its root.

    It is mounted in a namespace of a user's own, which needs no rights but a kernel that allows it.
    """
    place = checkpoint_of(world.rig.home)
    place.mkdir(parents=True, exist_ok=True)
    mount = f"mount -t tmpfs -o size={SMALL_DISK_BYTES} none {place} && exec sleep infinity"
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount]
    holder = subprocess.Popen(command, start_new_session=True)
    seen = Path(f"/proc/{holder.pid}/root{place}")
    try:
        await_true(lambda: _is_small(seen, holder), "a file system of its own", 10)
        (world.layout.run / "disk.pid").write_text(str(holder.pid))
        yield seen
    finally:
        os.killpg(holder.pid, signal.SIGKILL)
        holder.wait()


def _is_small(place: Path, holder: "subprocess.Popen[bytes]") -> bool:
    if not process_is_alive(holder.pid):
        raise RuntimeError("this kernel allows no file systems of a user's own (unshare --user)")
    try:
        found = os.statvfs(place)
    except OSError:  # the new process has not got its own view yet
        return False
    return found.f_blocks * found.f_frsize == SMALL_DISK_BYTES


def fill(place: Path, seconds: float) -> None:
    """Keep a file system full for so long, whatever is deleted on it meanwhile; then free it."""
    filler, until = place / "filler", time.monotonic() + seconds
    while time.monotonic() < until:
        with suppress(OSError), filler.open("ab", buffering=0) as file:
            while file.write(b"\0" * 4096):
                pass
        time.sleep(0.01)
    filler.unlink()
