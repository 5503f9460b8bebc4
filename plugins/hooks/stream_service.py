"""The streaming job as a supervised service, over the process supervisor's XML-RPC."""

import http.client
import time
import xmlrpc.client
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, urlsplit

from airflow.sdk import BaseHook

if TYPE_CHECKING:
    from contracts.errors import StackError
    from contracts.settings import SupervisorSettings

ALREADY_STARTED = 60
NOT_RUNNING = 70
START_DEADLINE_SECONDS = 120.0
CALL_DEADLINE_SECONDS = 90.0
POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class ServiceState:
    """What the supervisor says of a service; `name` is its state, such as RUNNING or FATAL."""

    name: str
    pid: int
    description: str

    @property
    def is_running(self) -> bool:
        """Whether the process is up and outlived its start-up seconds."""
        return self.name == "RUNNING"


class _DeadlineTransport(xmlrpc.client.Transport):
    """Gives up on a supervisor that accepts a call and never answers."""

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = super().make_connection(host)
        connection.timeout = CALL_DEADLINE_SECONDS
        return connection


class StreamServiceHook(BaseHook):
    """Starts, stops and asks after one supervised program."""

    def __init__(self, supervisor: "SupervisorSettings", program: str = "stream") -> None:
        super().__init__()
        self.program = program
        self._url = supervisor.url
        self._proxy = xmlrpc.client.ServerProxy(
            _address(supervisor), transport=_DeadlineTransport()
        )

    def state(self) -> ServiceState:
        """The program's state now."""
        info = cast(dict[str, Any], self._call("getProcessInfo", self.program))
        return ServiceState(info["statename"], info["pid"], info["description"])

    def require_running(self) -> ServiceState:
        """The program's state.

        Raises:
            StackError: it does not run; names its state and its log.
        """
        state = self.state()
        if not state.is_running:
            raise self._not_running(state)
        return state

    def start(self) -> ServiceState:
        """Start the program unless it runs; return when it is up.

        Raises:
            StackError: it did not come up; names its state and its log.
        """
        self._call("startProcess", self.program, False, tolerated=ALREADY_STARTED)
        return self._await(lambda state: state.is_running)

    def stop(self) -> ServiceState:
        """Stop the program if it runs; return when it is down."""
        self._call("stopProcess", self.program, True, tolerated=NOT_RUNNING)
        return self.state()

    def restart(self) -> ServiceState:
        """Stop, then start."""
        self.stop()
        return self.start()

    def _await(self, accepted: Callable[[ServiceState], bool]) -> ServiceState:
        deadline = time.monotonic() + START_DEADLINE_SECONDS
        while True:
            state = self.state()
            if accepted(state):
                return state
            if state.name in ("FATAL", "EXITED") or time.monotonic() > deadline:
                raise self._not_running(state)
            time.sleep(POLL_SECONDS)

    def _not_running(self, state: ServiceState) -> "StackError":
        from contracts.errors import StackError

        return StackError(
            f"the service {self.program} is {state.name}",
            value=state.description,
            remedy=f"See `fraud logs {self.program}`",
        )

    def _call(self, method: str, *arguments: Any, tolerated: int | None = None) -> object:
        from contracts.errors import StackError

        try:
            return getattr(self._proxy.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == tolerated:
                return None
            raise StackError(
                f"the supervisor refused {method}: {fault.faultString}", value=self.program
            ) from fault
        except (OSError, xmlrpc.client.ProtocolError, http.client.HTTPException) as error:
            raise StackError(
                "the process supervisor does not answer", value=self._url, remedy="Run `fraud up`"
            ) from error


def _address(supervisor: "SupervisorSettings") -> str:
    parts = urlsplit(supervisor.url)
    password = quote(supervisor.password.get_secret_value(), safe="")
    path = parts.path if parts.path not in ("", "/") else "/RPC2"
    return f"{parts.scheme}://{quote(supervisor.user, safe='')}:{password}@{parts.netloc}{path}"
