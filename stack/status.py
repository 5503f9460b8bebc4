"""How each service is now: what the supervisor says, and what the service itself says."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from contracts.errors import StackError
from stack.health import Check, checks
from stack.processes import memory_bytes
from stack.service import Context, Service
from stack.services import services
from stack.supervision import ProcessInfo, UnreachableError, connect
from stack.waiting import NotReady


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One service; `pid` is 0 when it does not run, `problem` empty when it answers well."""

    service: Service
    state: str
    pid: int
    memory_bytes: int
    problem: str

    @property
    def is_well(self) -> bool:
        """Whether it is as it should be; one on demand may have been stopped."""
        resting = ("stopped", "exited") if self.service.on_demand else ()
        return self.state in ("healthy", "running", "starting", *resting)


def stack_status(context: Context) -> list[ServiceStatus]:
    """Every service's state, memory and health, asked in parallel."""
    table = services(context)
    known = _known(context)
    gates = checks(context)
    with ThreadPoolExecutor(max_workers=len(table)) as pool:
        return list(pool.map(lambda s: _status(s, known.get(s.name), gates.get(s.name)), table))


def _known(context: Context) -> dict[str, ProcessInfo]:
    try:
        return connect(context).processes()
    except UnreachableError:
        return {}


def _status(service: Service, process: ProcessInfo | None, gate: Check | None) -> ServiceStatus:
    if service.is_remote and gate:
        problem = _problem(gate)
        return ServiceStatus(service, "unhealthy" if problem else "healthy", 0, 0, problem)
    if process is None or process.pid == 0:
        state = "stopped" if process is None else process.state.lower()
        return ServiceStatus(service, state, 0, 0, "")
    problem = _problem(gate) if gate else ""
    state = "unhealthy" if problem else ("healthy" if gate else process.state.lower())
    return ServiceStatus(service, state, process.pid, memory_bytes(process.pid), problem)


def _problem(gate: Check) -> str:
    try:
        gate()
    except (NotReady, StackError) as answer:
        return str(answer)
    return ""
