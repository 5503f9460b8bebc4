"""The hook around the supervised stream, against a supervisor that speaks real XML-RPC."""

import threading
import xmlrpc.client
from collections.abc import Iterator
from xmlrpc.server import SimpleXMLRPCRequestHandler, SimpleXMLRPCServer

import pytest
from pydantic import SecretStr

from contracts.errors import StackError
from contracts.settings import SupervisorSettings
from plugins.hooks.stream_service import StreamServiceHook

ACCEPTED = "Basic ZnJhdWQ6czpjcmV0"  # fraud:s:cret


class FakeSupervisor:
    """One program; `starts_as` are the states that it goes through once started."""

    def __init__(self, *starts_as: str) -> None:
        self.state = "STOPPED"
        self.calls: list[str] = []
        self._starts_as = list(starts_as)

    def startProcess(self, name: str, wait: bool) -> bool:  # noqa: N802
        """Supervisor's own spelling."""
        self._refuse_others(name)
        self.calls.append("start")
        if self.state == "RUNNING":
            raise xmlrpc.client.Fault(60, f"ALREADY_STARTED: {name}")
        self.state = "STARTING"
        return True

    def stopProcess(self, name: str, wait: bool) -> bool:  # noqa: N802
        """Supervisor's own spelling."""
        self._refuse_others(name)
        self.calls.append("stop")
        if self.state == "STOPPED":
            raise xmlrpc.client.Fault(70, f"NOT_RUNNING: {name}")
        self.state = "STOPPED"
        return True

    def getProcessInfo(self, name: str) -> dict[str, object]:  # noqa: N802
        """Supervisor's own spelling."""
        self._refuse_others(name)
        if self.state == "STARTING":
            self.state = self._starts_as.pop(0)
        return {"statename": self.state, "pid": 7, "description": f"was {self.state}"}

    def _refuse_others(self, name: str) -> None:
        if name != "stream":
            raise xmlrpc.client.Fault(10, f"BAD_NAME: {name}")


class PasswordHandler(SimpleXMLRPCRequestHandler):
    """Answers only to the right user and password."""

    def do_POST(self) -> None:  # noqa: N802
        """http.server's own spelling."""
        if self.headers.get("Authorization") != ACCEPTED:
            self.send_error(401)
            return
        super().do_POST()


def _serve(supervisor: FakeSupervisor) -> Iterator[str]:
    with SimpleXMLRPCServer(
        ("127.0.0.1", 0), requestHandler=PasswordHandler, logRequests=False
    ) as server:
        for method in ("startProcess", "stopProcess", "getProcessInfo"):
            server.register_function(getattr(supervisor, method), f"supervisor.{method}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def supervisor() -> FakeSupervisor:
    """A supervisor whose program comes up."""
    return FakeSupervisor("RUNNING")


@pytest.fixture
def url(supervisor: FakeSupervisor) -> Iterator[str]:
    """Where `supervisor` answers."""
    yield from _serve(supervisor)


def _hook(url: str, *, password: str = "s:cret", program: str = "stream") -> StreamServiceHook:
    return StreamServiceHook(SupervisorSettings(url=url, password=SecretStr(password)), program)


def test_start_returns_only_when_running(url: str) -> None:
    """Starting ends when the process is up, not when it was asked for."""
    assert _hook(url).start().is_running


def test_start_and_stop_twice_change_nothing(url: str, supervisor: FakeSupervisor) -> None:
    """A retried start or stop finds its work done and succeeds."""
    hook = _hook(url)
    assert [hook.start().name, hook.start().name] == ["RUNNING", "RUNNING"]
    assert [hook.stop().name, hook.stop().name] == ["STOPPED", "STOPPED"]


def test_restart_stops_first(url: str, supervisor: FakeSupervisor) -> None:
    """A restart is a stop and then a start."""
    supervisor.state = "RUNNING"
    assert _hook(url).restart().is_running
    assert supervisor.calls == ["stop", "start"]


def test_start_that_dies_fails_with_the_log() -> None:
    """A program that gives up fails the start, and the error says where to read why."""
    for url in _serve(FakeSupervisor("FATAL")):
        with pytest.raises(StackError, match=r"stream is FATAL.*fraud logs stream"):
            _hook(url).start()


def test_require_running_refuses_a_stopped_service(url: str) -> None:
    """The health check fails when the service is down."""
    with pytest.raises(StackError, match="is STOPPED"):
        _hook(url).require_running()


def test_wrong_password_and_absent_supervisor_are_stack_errors(url: str) -> None:
    """Whatever keeps the supervisor from answering becomes one error with a remedy."""
    with pytest.raises(StackError, match="does not answer"):
        _hook(url, password="wrong").state()
    with pytest.raises(StackError, match="does not answer"):
        _hook("http://127.0.0.1:9").state()


def test_unknown_program_is_refused(url: str) -> None:
    """A fault that was not expected is reported in the supervisor's words."""
    with pytest.raises(StackError, match="BAD_NAME"):
        _hook(url, program="nothing").start()
