"""One service, ended and started again."""

import time
from collections.abc import Callable

from contracts.errors import StackError
from stack.bring_down import stop_services
from stack.health import checks
from stack.service import Context, Service
from stack.services import services
from stack.supervision import connect
from stack.waiting import wait_until_ready


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
    """Stop a service if it runs, start it and wait until it answers.

    Raises:
        StackError: no such service, or it does not become healthy.
    """
    service = named_service(context, name)
    supervisor = connect(context)
    stop_services(supervisor, (name,), say)
    service.prepare(lambda: False)
    supervisor.start(name)
    gate = checks(context).get(name)
    if gate is not None:
        wait_until_ready(name, gate, timeout_seconds=120.0, say=say, pause=time.sleep)
