"""What `up` does, as steps that name what they wait for; every step is safe to repeat."""

import time
from collections.abc import Callable, Mapping

from contracts.errors import StackError
from stack.airflow_objects import create_airflow_objects
from stack.databases import create_databases, migrate_airflow
from stack.experiment import create_experiment
from stack.health import Check, checks
from stack.jars import fetch_jars
from stack.service import Context, Service
from stack.service_logs import last_words
from stack.services import services
from stack.steps import Control, Step
from stack.supervision import Supervisor
from stack.topics import create_topics
from stack.waiting import NotReady, wait_until_ready

HEALTHY_WITHIN_SECONDS = 240.0
REMOTE_ANSWERS_WITHIN_SECONDS = 15.0
WORK_SECONDS = 60.0
DYING_SECONDS = 15.0
DYING_STATES = ("BACKOFF", "FATAL")


def plan(context: Context, supervisor: Supervisor) -> list[Step]:
    """Services and initialisation."""
    gates = checks(context)
    started = [
        Step(service.name, service.needs, _starter(context, service, supervisor, gates))
        for service in services(context)
        if not service.on_demand
    ]
    return [*started, *_initialisation(context)]


def _initialisation(context: Context) -> list[Step]:
    return [
        Step("jars", (), lambda c: fetch_jars(context.layout, c.say, c.cancelled)),
        Step("databases", ("postgres",), lambda c: create_databases(context, c.cancelled)),
        Step("airflow database", ("databases",), lambda c: migrate_airflow(context, c.cancelled)),
        _patient("topics", "kafka", lambda: create_topics(context.settings.kafka)),
        _patient("experiment", "mlflow", lambda: create_experiment(context.settings.mlflow)),
        _patient("airflow objects", "airflow-api-server", lambda: create_airflow_objects(context)),
    ]


def _patient(name: str, service: str, work: Callable[[], None]) -> Step:
    """Work on a service that has just come up, asked again while it is not ready for it."""

    def run(control: Control) -> None:
        wait_until_ready(
            service,
            work,
            timeout_seconds=WORK_SECONDS,
            cancelled=control.cancelled,
            say=control.say,
        )

    return Step(name, (service,), run)


def _starter(
    context: Context, service: Service, supervisor: Supervisor, gates: Mapping[str, Check]
) -> Callable[[Control], None]:
    def start(control: Control) -> None:
        gate = gates[service.name]
        if not service.is_remote:
            if supervisor.processes()[service.name].pid == 0:
                service.prepare(control.cancelled)
                supervisor.start(service.name)
            gate = _watched(context, service.name, supervisor, gate)
        wait_until_ready(
            service.name,
            gate,
            timeout_seconds=_patience_seconds(service),
            cancelled=control.cancelled,
            say=control.say,
            remedy=_remedy(service),
        )

    return start


def _patience_seconds(service: Service) -> float:
    return REMOTE_ANSWERS_WITHIN_SECONDS if service.is_remote else HEALTHY_WITHIN_SECONDS


def _remedy(service: Service) -> str:
    if service.is_remote:
        return f"{service.url} comes from your settings: check it and its credentials in .env"
    return f"See `fraud logs {service.name}`"


def _watched(context: Context, name: str, supervisor: Supervisor, gate: Check) -> Check:
    """The gate, but a service that keeps ending is a failure with its own last words."""
    begun = time.monotonic()

    def check() -> None:
        try:
            gate()
        except NotReady:
            state = supervisor.processes()[name].state
            if state in DYING_STATES and time.monotonic() - begun > DYING_SECONDS:
                raise StackError(
                    f"{name} ends as soon as it starts: {last_words(context.layout, name)}",
                    remedy=f"See `fraud logs {name}`",
                ) from None
            raise

    return check
