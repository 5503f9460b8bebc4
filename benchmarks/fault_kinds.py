"""The faults: what is done to which process of a running stream."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import redis
from fault_rig import ON_SMALL_DISK, SupervisedRig, fill, small_disk
from spark_cluster import spark_cluster
from stream_rig import promote

PAUSE_SECONDS, FULL_SECONDS = 30.0, 20.0
WORKER_KILLS, WORKER_KILLS_APART = 3, 0.5
"""A task may die four times, should each kill meet the same one; seconds between them."""


@dataclass(frozen=True, slots=True)
class World:
    """What a fault happens to. `service` runs the stream; `versions` are the champion and another
    that passes for one; `disk` is the small file system, where there is one."""

    rig: SupervisedRig
    service: str
    versions: tuple[str, str]
    disk: Path = Path()


Strike = Callable[[World], str | None]
"""Returns when the fault is over, with the version that must decide from then on, or None."""


@contextmanager
def _as_it_is(world: World) -> Iterator[World]:
    yield world


@dataclass(frozen=True, slots=True)
class Fault:
    """`seconds` is how long `strike` takes; `around` prepares what it needs."""

    name: str
    runner: str
    strike: Strike
    seconds: float = 0.0
    around: Callable[[World], AbstractContextManager[World]] = _as_it_is


def faults() -> tuple[Fault, ...]:
    """All of them, each with the runner that it is about."""
    return (
        Fault("consumer killed", "direct", kill_stream),
        Fault("tiles killed", "direct", killing("tiles")),
        Fault("broker killed", "direct", killing("kafka")),
        Fault("broker paused", "direct", pause_broker, PAUSE_SECONDS),
        Fault("redis killed", "direct", killing("redis")),
        Fault("redis emptied", "direct", empty_redis),
        Fault("mlflow killed", "direct", kill_mlflow),
        Fault("object store killed", "direct", kill_object_store),
        Fault("job killed", "spark", kill_stream),
        Fault("driver killed", "spark", kill_driver),
        Fault("python workers killed", "spark", kill_workers),
        Fault("executor killed", "spark", kill_executor, around=on_a_cluster),
        Fault("disk full", "spark", fill_disk, FULL_SECONDS, on_a_small_disk),
    )


def on_spark(fault: Fault) -> Fault:
    """A server's fault, with the Spark job instead of the direct consumer."""
    return replace(fault, runner="spark")


def killing(service: str) -> Strike:
    """Kill -9 of a server."""
    return lambda world: world.rig.kill(service)


def kill_stream(world: World) -> None:
    """Kill -9 of the process that the supervisor started: the consumer, or the job's Python."""
    world.rig.kill(world.service)


def kill_driver(world: World) -> None:
    """Kill -9 of Spark's driver, a Java process."""
    _below(world.rig.process(world.service), "org.apache.spark.deploy.SparkSubmit").kill()


def kill_workers(world: World) -> None:
    """Kill -9 of every Python worker, again and again, so that tasks die in the middle."""
    daemon = _below(world.rig.process(world.service), "inference.spark_daemon")
    for _ in range(WORKER_KILLS):
        for worker in daemon.children():
            worker.kill()
        time.sleep(WORKER_KILLS_APART)


def kill_executor(world: World) -> None:
    """Kill -9 of one of the cluster's two executors, Java processes."""
    _below(psutil.Process(), "CoarseGrainedExecutorBackend").kill()


def _below(process: psutil.Process, word: str) -> psutil.Process:
    found = [p for p in process.children(recursive=True) if word in _line(p)]
    if not found:
        raise RuntimeError(f"no process {word} below {process.pid}")
    return found[0]


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # it has ended meanwhile
        return ""


def pause_broker(world: World) -> None:
    """Stop the broker's process for half a minute, as a long pause of its host would."""
    broker = world.rig.process("kafka")
    broker.send_signal(signal.SIGSTOP)
    time.sleep(PAUSE_SECONDS)
    broker.send_signal(signal.SIGCONT)


def empty_redis(world: World) -> None:
    """FLUSHALL: states, tiles, pins and counts are gone."""
    redis.Redis.from_url(world.rig.rig.settings.redis.url).flushall()


def kill_mlflow(world: World) -> str:
    """Kill -9 of MLflow in the moment after a promotion."""
    promote(world.rig.rig, world.versions[1])
    world.rig.kill("mlflow")
    return world.versions[1]


def kill_object_store(world: World) -> str:
    """Kill -9 of the object store, and a promotion before it is back."""
    world.rig.kill("objectstore")
    promote(world.rig.rig, world.versions[1])
    return world.versions[1]


def fill_disk(world: World) -> None:
    """No space is left where the checkpoint is: the job must end, and try again in vain."""
    before = world.rig.process(world.service).pid
    fill(world.disk, FULL_SECONDS)
    if world.rig.process(world.service).pid == before:
        raise RuntimeError("the job did not end on a full disk")


@contextmanager
def on_a_cluster(world: World) -> Iterator[World]:
    """A standalone master with two workers, so that executors are processes of their own."""
    folder, master = world.rig.layout.root / "cluster", world.rig.rig.settings.spark.master
    with spark_cluster(folder, workers=2) as cluster:
        world.rig.with_master(cluster.url)
        try:
            yield world
        finally:
            world.rig.with_master(master)


@contextmanager
def on_a_small_disk(world: World) -> Iterator[World]:
    """A checkpoint on a file system that can be filled."""
    with small_disk(world.rig) as place:
        yield replace(world, service=ON_SMALL_DISK, disk=place)
