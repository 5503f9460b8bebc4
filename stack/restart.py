"""One service, ended and started again."""

import time
from collections.abc import Callable
from functools import partial

from contracts.errors import StackError
from stack.bring_down import stop_services
from stack.health import checks
from stack.locking import exclusive
from stack.service import Context, Service
from stack.services import services
from stack.supervision import Supervisor, connect
from stack.waiting import NotReady, wait_until_ready


def named_service(context: Context, name: str) -> Service:
    """The service of that name.

    Raises:
        StackError: there is none.
    """
    table = {service.name: service for service in services(context)}
    if name not in table:
        raise StackError("no such service", value=name, remedy=f"One of: {', '.join(table)}")
    return table[name]


def restart_service(context: Context, name: str, *, say: Callable[[str], None]) -> None:
    """Stop a service if it runs, start it and wait until it answers, or runs if nobody asks it.

    Raises:
        StackError: no such service, not ours to restart, or it does not become healthy.
    """
    service = named_service(context, name)
    if service.is_remote:
        raise StackError(
            f"{name} is not part of this stack", value=service.url, remedy="Restart it where it is"
        )
    supervisor = connect(context)
    gate = checks(context).get(name) or partial(_refuse_ended, supervisor, name)
    with exclusive(context.layout):
        stop_services(supervisor, (name,), say)
        service.prepare(lambda: False)
        supervisor.start(name)
        wait_until_ready(name, gate, timeout_seconds=120.0, say=say, pause=time.sleep)


def _refuse_ended(supervisor: Supervisor, name: str) -> None:
    """A gate for a service that no check asks: it outlived its first seconds."""
    state = supervisor.processes()[name].state
    if state != "RUNNING":
        raise NotReady(f"{name} is {state}")
