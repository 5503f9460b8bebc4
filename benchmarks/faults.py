"""What each fault does to the stream at 1,000 transactions per second: the fault matrix.

Everything is real and under the product's own supervisor, which at once starts again what was
killed or ended with an error: broker, Redis, object store, MLflow, `fraud tiles`, `fraud stream`.
(Python workers and executors are started again by Spark.) For each fault the stream runs on new
topics: load, the fault, load; then Kafka is read from end to end.

    python benchmarks/faults.py [--only "redis killed"] [--runner spark|direct]

A row per fault, and last all of them in one line: {"rows": [{"fault", "runner", "events", "lost",
"duplicated_effects", "feature_mismatches", "recovery_seconds", …}]}. `lost` are transactions with
neither decision nor rejection. `duplicated_effects` are decision records that differ from the first
of their source, which alone stands for readers; equal ones count as `repeats`. `feature_mismatches`
are decisions, of `audited` that have features, whose features are not what Kafka says.
`recovery_seconds` count from the moment when something was killed, resumed, emptied or freed until
what was sent after it is decided by the model and, from then on, less than a second's traffic
waits; where a promotion falls into the fault, by the new model. `by_rules` were decided by the
fallback tier; `most_waiting` is the longest queue from the fault on, and `said` the error with
which the stream ended, if it did so by itself.
"""

import argparse
import json
import math
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass

import psutil
from fault_kinds import Fault, World, faults, on_spark
from fault_rig import STREAMS, SupervisedRig, supervised_rig
from fault_trace import Trace, most_waiting, read_trace, recovery_seconds
from stream_rig import Rig, answers, await_true, finish, promote, publish, register_model, say

from contracts.errors import BrokerError, FraudError
from contracts.kafka import full_ranges
from features.audit import AuditReport, audit_decisions

RATE = 1_000
WARM_RECORDS = 1_000
PATIENCE_SECONDS = 300.0
MOST_RECORDS = EVERY_DECISION = 10_000_000


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds of load: before the first fault, at least after each, and once the queue is gone."""

    lead: float
    least: float
    rest: float


UNHURRIED = Pace(8.0, 20.0, 5.0)


@dataclass(frozen=True, slots=True)
class Row:
    """See the module."""

    fault: str
    runner: str
    events: int
    lost: int
    duplicated_effects: int
    feature_mismatches: int
    recovery_seconds: float | None
    by_rules: int
    repeats: int
    most_waiting: int
    audited: int
    said: str


@dataclass(frozen=True, slots=True)
class Struck:
    """When a fault began and ended, by the wall clock; which version must decide after it; `said`
    as in a row."""

    fault: Fault
    began_ms: float
    ended_ms: float
    version: str
    said: str


def suffer(world: World, chosen: Sequence[Fault], pace: Pace) -> list[Struck]:
    """Run the stream under load through some faults, until every transaction has its answer."""
    rig = world.rig.rig
    promote(rig, world.versions[0])
    publish(rig, WARM_RECORDS)
    services = ("tiles", world.service)
    for service in services:
        world.rig.start(service)
    try:
        await_true(lambda: unanswered(rig) == 0, "the first decisions", PATIENCE_SECONDS)
        with load(rig):
            struck = strike_in_turn(world, chosen, pace)
        with suppress(TimeoutError):  # the row will tell what is lost
            await_true(lambda: _is_complete(rig), "an answer to everything", PATIENCE_SECONDS)
    finally:
        for service in reversed(services):
            world.rig.stop(service)
    return struck


@contextmanager
def load(rig: Rig) -> Iterator[None]:
    """A thousand transactions a second, which the stream keeps up with when the block begins."""
    spawned = multiprocessing.get_context("spawn")
    enough = spawned.Event()
    options = {"first": WARM_RECORDS, "rate": RATE, "enough": enough}
    sender = spawned.Process(target=publish, args=(rig, MOST_RECORDS), kwargs=options)
    sender.start()
    try:
        await_true(lambda: _is_in_pace(rig), "the pace of the load", PATIENCE_SECONDS)
        yield
        enough.set()
        sender.join()
    finally:
        sender.kill()
    if sender.exitcode != 0:
        raise RuntimeError("the load did not end well, see above")


def strike_in_turn(world: World, chosen: Sequence[Fault], pace: Pace) -> list[Struck]:
    """One fault after the other, each when the stream keeps up again."""
    time.sleep(pace.lead)
    return [_strike(world, fault, pace) for fault in chosen]


def _strike(world: World, fault: Fault, pace: Pace) -> Struck:
    say(f"{fault.name} ({fault.runner})")
    log = world.rig.log(world.service)
    size, began = log.stat().st_size, time.time() * 1000
    version, ended = fault.strike(world), time.time() * 1000
    time.sleep(pace.least)
    with suppress(TimeoutError):  # the row will tell that it lasts
        await_true(lambda: unanswered(world.rig.rig) < RATE, "recovery", PATIENCE_SECONDS)
    time.sleep(pace.rest)
    said = log.read_bytes()[size:].decode(errors="replace").splitlines()
    errors = [line for line in said if line.startswith("Error: ")]
    return Struck(fault, began, ended, version or "", errors[-1] if errors else "")


def _is_in_pace(rig: Rig) -> bool:
    return sent(rig) > WARM_RECORDS + 2 * RATE and unanswered(rig) < RATE


def sent(rig: Rig) -> int:
    """Transactions in the topic."""
    kafka = rig.settings.kafka
    return sum(span.end - span.start for span in full_ranges(kafka, kafka.topic))


def unanswered(rig: Rig) -> int:
    """Transactions less answers, repeats among them; a second's worth while nobody knows."""
    try:
        return max(0, sent(rig) - answers(rig.settings))
    except BrokerError:
        return RATE


def _is_complete(rig: Rig) -> bool:
    return unanswered(rig) == 0 and read_trace(rig.settings).lost == 0


def rows_of(rig: Rig, struck: Sequence[Struck]) -> list[Row]:
    """What Kafka says of a run: a row per fault, in which only the recovery is its own."""
    trace = read_trace(rig.settings)
    report = audit_decisions(rig.settings, EVERY_DECISION)
    ends = [*(each.began_ms for each in struck[1:]), math.inf]
    return [_row(each, trace, report, until) for each, until in zip(struck, ends, strict=True)]


def _row(struck: Struck, trace: Trace, report: AuditReport, until_ms: float) -> Row:
    return Row(
        fault=struck.fault.name,
        runner=struck.fault.runner,
        events=len(trace.sent_ms),
        lost=trace.lost,
        duplicated_effects=trace.differing,
        feature_mismatches=report.mismatched,
        recovery_seconds=recovery_seconds(
            trace, struck.ended_ms, rate=RATE, until_ms=until_ms, version=struck.version
        ),
        by_rules=int((trace.version == "").sum()),
        repeats=trace.repeats,
        most_waiting=most_waiting(trace, struck.began_ms),
        audited=report.checked,
        said=struck.said,
    )


def trial(rig: SupervisedRig, versions: tuple[str, str], fault: Fault) -> Row:
    """One fault on new topics."""
    fresh = World(rig.with_topics(), STREAMS[fault.runner], versions)
    with fault.around(fresh) as world:
        struck = suffer(world, [fault], UNHURRIED)
    (found,) = rows_of(world.rig.rig, struck)
    return found


def matrix(chosen: Sequence[Fault]) -> list[Row]:
    """A row for each fault, on servers of its own; a trial that failed has none."""
    rows = []
    with supervised_rig() as rig:
        versions = (register_model(rig.rig, seed=1), register_model(rig.rig, seed=2))
        for fault in chosen:
            try:
                rows.append(trial(rig, versions, fault))
                print(json.dumps(asdict(rows[-1])), flush=True)
            except (FraudError, OSError, RuntimeError, psutil.Error) as error:
                say(f"{fault.name} ({fault.runner}) could not be tried: {error}")
    return rows


def chosen_faults(only: Sequence[str], runner: str | None) -> list[Fault]:
    """The faults so named, or all; with `spark` those of servers, too, happen to the job."""
    found = [fault for fault in faults() if not only or fault.name in only]
    if runner == "spark":
        return [fault if fault.runner == "spark" else on_spark(fault) for fault in found]
    return [fault for fault in found if runner in (None, fault.runner)]


def main() -> None:
    """Print each row as it comes, then all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=[fault.name for fault in faults()])
    parser.add_argument("--runner", choices=tuple(STREAMS))
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the servers must not outlive it
    chosen = chosen_faults(arguments.only or (), arguments.runner)
    rows = matrix(chosen)
    finish(
        {
            "rows": [asdict(found) for found in rows],
            "cpus": os.cpu_count(),
            "load_average": os.getloadavg()[0],
        }
    )


if __name__ == "__main__":
    main()
