"""The process supervisor: its generated configuration, its start and end, and talking to it."""

import configparser
import io
import os
import shlex
import subprocess
import time
import xmlrpc.client
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any, cast
from urllib.parse import quote

from contracts.errors import StackError
from contracts.settings import SupervisorSettings
from stack.credentials import write_private
from stack.layout import HOST, Layout, environment_bin
from stack.processes import MARKER
from stack.service import Context, Service

LOG_BYTES = "10MB"
LOG_BACKUPS = "3"
STARTING_SECONDS = 15.0
ANSWER_SECONDS = 10.0
SHUTTING_DOWN = 6
"""Supervisor's fault code for any call while it ends its services."""
YIELDING = ("nice", "-n", "5")
"""A third of another process's share, and only while both want a core."""
NO_PROXY = ("NO_PROXY", "no_proxy")


class UnreachableError(StackError):
    """The supervisor does not answer: it is not running."""


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """A service as the supervisor sees it; `pid` is 0 when it does not run."""

    name: str
    state: str
    pid: int
    started_at: int
    detail: str


class _ImpatientTransport(xmlrpc.client.Transport):
    """Gives up on a supervisor that accepts a connection and never answers."""

    def make_connection(self, host: Any) -> HTTPConnection:
        connection = super().make_connection(host)
        connection.timeout = ANSWER_SECONDS
        return connection


class Supervisor:
    """The supervisor's XML-RPC interface; every call may raise `UnreachableError`."""

    def __init__(self, settings: SupervisorSettings) -> None:
        login = f"{settings.user}:{quote(settings.password.get_secret_value(), safe='')}"
        self._address = settings.url.replace("://", f"://{login}@", 1) + "/RPC2"

    def is_running(self) -> bool:
        """Whether it answers, with our password, and is not shutting down."""
        try:
            return bool(self._call("getState")["statename"] == "RUNNING")
        except UnreachableError:
            return False

    def processes(self) -> dict[str, ProcessInfo]:
        """Every known service by name."""
        rows = cast(list[dict[str, Any]], self._call("getAllProcessInfo"))
        return {
            row["name"]: ProcessInfo(
                row["name"], row["statename"], row["pid"], row["start"], row["spawnerr"]
            )
            for row in rows
        }

    def start(self, name: str) -> None:
        """Start a service unless it runs already; returns at once."""
        try:
            self._call("startProcess", name, False)
        except xmlrpc.client.Fault as fault:
            if "ALREADY_STARTED" not in fault.faultString:
                raise StackError(f"{name} would not start: {fault.faultString}") from fault

    def stop(self, name: str) -> None:
        """Ask a service to end unless it has ended; returns at once."""
        try:
            self._call("stopProcess", name, False)
        except xmlrpc.client.Fault as fault:
            if "NOT_RUNNING" not in fault.faultString:
                raise StackError(f"{name} would not stop: {fault.faultString}") from fault

    def shut_down(self) -> None:
        """Ask the supervisor to end every service and then itself."""
        self._call("shutdown")

    def _call(self, method: str, *arguments: Any) -> Any:
        # A connection per call: calls come from many threads, and a proxy serves only one.
        try:
            transport = _ImpatientTransport()
            with xmlrpc.client.ServerProxy(self._address, transport=transport) as server:
                return getattr(server.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != SHUTTING_DOWN:
                raise
            raise UnreachableError(
                "the process supervisor is shutting down", remedy="Wait until it ends"
            ) from fault
        except (OSError, HTTPException, xmlrpc.client.ProtocolError) as error:
            raise UnreachableError(
                f"the process supervisor does not answer: {error}", remedy="Run `fraud up`"
            ) from error


def connect(context: Context) -> Supervisor:
    """The supervisor of this checkout, running or not."""
    return Supervisor(context.settings.supervisor)


def write_configuration(context: Context, services: Sequence[Service]) -> None:
    """Write supervisord's configuration, readable by its owner only."""
    parser = configparser.RawConfigParser()
    parser.read_dict(_sections(context, services))
    text = io.StringIO()
    parser.write(text)
    write_private(context.layout.run / "supervisord.conf", text.getvalue())


def _sections(context: Context, services: Sequence[Service]) -> dict[str, dict[str, str]]:
    layout = context.layout
    sections = {
        "supervisord": {
            "nodaemon": "true",
            "silent": "true",
            "identifier": f"fraud-{layout.identity}",
            "pidfile": _escaped(str(layout.run / "supervisord.pid")),
            "logfile": _escaped(str(layout.logs / "supervisor.log")),
            "logfile_maxbytes": LOG_BYTES,
            "logfile_backups": LOG_BACKUPS,
            "childlogdir": _escaped(str(layout.logs)),
            "minfds": "1024",
        },
        "inet_http_server": {
            "port": f"{HOST}:{layout.port('supervisor')}",
            "username": _escaped(context.settings.supervisor.user),
            "password": _escaped(context.settings.supervisor.password.get_secret_value()),
        },
        "rpcinterface:supervisor": {
            "supervisor.rpcinterface_factory": ("supervisor.rpcinterface:make_main_rpcinterface")
        },
    }
    return sections | {
        f"program:{s.name}": _program(layout, s) for s in services if not s.is_remote
    }


def _program(layout: Layout, service: Service) -> dict[str, str]:
    log = layout.logs / f"{service.name}.log"
    command = (*YIELDING, *service.command) if service.is_patient else service.command
    return {
        "command": _escaped(shlex.join(command)),
        "directory": _escaped(str(service.directory)),
        "environment": _environment(service.environment),
        # `fraud up` starts each one when what it needs is healthy.
        "autostart": "false",
        "autorestart": "unexpected" if service.on_demand else "true",
        # An on-demand service that ends within these seconds failed to start; after some
        # retries, each a second later than the last, it is left alone.
        "startsecs": "3" if service.on_demand else "1",
        "startretries": "5" if service.on_demand else "100",
        "stopsignal": service.stop_signal,
        "stopwaitsecs": str(service.stop_seconds),
        "stopasgroup": str(service.stop_as_group).lower(),
        "killasgroup": "true",
        "redirect_stderr": "true",
        # Relative to the checkout, where supervisord works: this value is expanded twice.
        "stdout_logfile": str(log.relative_to(layout.root)),
        "stdout_logfile_maxbytes": LOG_BYTES,
        "stdout_logfile_backups": LOG_BACKUPS,
    }


def _environment(values: Mapping[str, str]) -> str:
    """Supervisor's list of variables, where a value ends at the quotation mark that opened it.

    Raises:
        StackError: a value holds both kinds of marks, which supervisor cannot read.
    """
    pairs = []
    for name, value in values.items():
        mark = "'" if '"' in value else '"'
        if mark in value:
            raise StackError(
                "a setting holds both kinds of quotation marks and cannot be handed on",
                value=name,
                remedy="Choose another value",
            )
        pairs.append(f"{name}={mark}{_escaped(value)}{mark}")
    return ",".join(pairs)


def _escaped(text: str) -> str:
    """Supervisor expands `%(name)s` in every value."""
    return text.replace("%", "%%")


def child_environment(layout: Layout, environ: Mapping[str, str]) -> dict[str, str]:
    """What every service inherits: the caller's environment, the checkout, and the marker."""
    return {
        **environ,
        MARKER: str(layout.root),
        "FRAUD_HOME": str(layout.root),
        "PATH": f"{environment_bin()}{os.pathsep}{environ.get('PATH', '')}",
        "PYTHONUNBUFFERED": "1",
        # Process titles must not overwrite the environment, by which `fraud down` finds strays.
        "SPT_NOENV": "1",
        "MALLOC_ARENA_MAX": "2",
        **dict.fromkeys(NO_PROXY, _without_proxy(environ)),
    }


def _without_proxy(environ: Mapping[str, str]) -> str:
    """What the caller reaches without a proxy, and this machine itself."""
    named = [host for name in NO_PROXY for host in environ.get(name, "").split(",") if host]
    return ",".join(dict.fromkeys([*named, "127.0.0.1", "localhost"]))


def launch(context: Context) -> None:
    """Start supervisord in a session of its own and wait until it answers.

    Raises:
        StackError: it ended, or did not answer in time.
    """
    layout = context.layout
    layout.logs.mkdir(parents=True, exist_ok=True)
    log = layout.logs / "supervisor.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [environment_bin() / "supervisord", "-c", layout.run / "supervisord.conf"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=layout.root,
            env=child_environment(layout, os.environ),
            start_new_session=True,
        )
    _await_answer(connect(context), process, str(log))


def _await_answer(supervisor: Supervisor, process: subprocess.Popen[bytes], log: str) -> None:
    deadline = time.monotonic() + STARTING_SECONDS
    while not supervisor.is_running():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise StackError(
                "the process supervisor did not start", value=log, remedy="See its log"
            )
        time.sleep(0.05)
