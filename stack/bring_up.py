"""`up`: supervisor first, then every service as soon as what it needs is healthy."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from contracts.errors import StackError
from contracts.settings import load_settings
from stack import supervision
from stack.airflow_objects import create_airflow_objects
from stack.bring_down import end_everything
from stack.credentials import OFFSET, ensure_local_env, recorded, wanted_offset
from stack.databases import create_databases, migrate_airflow
from stack.doctor import refuse_taken_ports
from stack.experiment import create_experiment
from stack.health import Check, checks
from stack.jars import fetch_jars
from stack.layout import Layout
from stack.locking import exclusive
from stack.processes import end_all, strays
from stack.service import Context, Service
from stack.services import services
from stack.steps import Control, Reporter, Step, run_steps
from stack.supervision import Supervisor, connect
from stack.topics import create_topics
from stack.waiting import wait_until_ready

HEALTHY_WITHIN_SECONDS = 180.0


def open_context(root: Path, environ: Mapping[str, str] = os.environ) -> Context:
    """The checkout's stack as last started, or as it would start; writes nothing.

    Raises:
        SettingsError: the settings are wrong.
    """
    secrets = recorded(root)
    offset = secrets.get(OFFSET) or str(wanted_offset(root, environ))
    return Context(Layout(root, int(offset)), load_settings(root, environ), secrets)


def wanted_layout(root: Path, environ: Mapping[str, str] = os.environ) -> Layout:
    """The paths and ports that the next start would use.

    Raises:
        StackError: the port offset is not usable.
    """
    return Layout(root, wanted_offset(root, environ))


def bring_up(root: Path, reporter: Reporter) -> Context:
    """Start what does not run and return when everything is healthy.

    An interruption or a failure of a start from nothing ends everything again; a stack that ran
    before is left as it is.

    Raises:
        StackError: a port is taken, a service does not become healthy, …
        SettingsError: the settings are wrong.
    """
    layout = wanted_layout(root)
    before = open_context(root)
    with exclusive(before.layout):
        if connect(before).is_running():
            _refuse_moving(before, layout.offset)
            run_steps(plan(before, connect(before)), reporter)
            return before
        return _start_afresh(layout, reporter)


def _refuse_moving(running: Context, offset: int) -> None:
    if running.layout.offset != offset:
        raise StackError(
            f"the stack runs with port offset {running.layout.offset}",
            value=offset,
            remedy="Run `fraud down` first",
        )


def _start_afresh(layout: Layout, reporter: Reporter) -> Context:
    end_all(strays(layout))
    refuse_taken_ports(layout)
    secrets = ensure_local_env(layout)
    context = Context(layout, load_settings(layout.root), secrets)
    supervision.write_configuration(context, services(context))
    try:
        supervision.launch(context)
        run_steps(plan(context, connect(context)), reporter)
    except BaseException:
        end_everything(context)
        raise
    return context


def plan(context: Context, supervisor: Supervisor) -> list[Step]:
    """Services and initialisation as steps; every step is safe to repeat."""
    gates = checks(context)
    started = [
        _service_step(service, supervisor, gates[service.name])
        for service in services(context)
        if not service.on_demand
    ]
    return [*started, *_initialisation(context)]


def _initialisation(context: Context) -> list[Step]:
    return [
        Step("jars", (), lambda c: fetch_jars(context.layout, c.say, c.cancelled)),
        Step("databases", ("postgres",), lambda c: create_databases(context, c.cancelled)),
        Step("airflow database", ("databases",), lambda c: migrate_airflow(context, c.cancelled)),
        Step("topics", ("kafka",), lambda c: create_topics(context.settings.kafka)),
        Step("experiment", ("mlflow",), lambda c: create_experiment(context)),
        Step("airflow objects", ("airflow-api-server",), lambda c: create_airflow_objects(context)),
    ]


def _service_step(service: Service, supervisor: Supervisor, gate: Check) -> Step:
    return Step(service.name, service.needs, _starter(service, supervisor, gate))


def _starter(service: Service, supervisor: Supervisor, gate: Check) -> Callable[[Control], None]:
    def start(control: Control) -> None:
        if supervisor.processes()[service.name].pid == 0:
            service.prepare(control.cancelled)
            supervisor.start(service.name)
        wait_until_ready(
            service.name,
            gate,
            timeout_seconds=HEALTHY_WITHIN_SECONDS,
            cancelled=control.cancelled,
            say=control.say,
        )

    return start
