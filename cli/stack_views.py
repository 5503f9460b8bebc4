"""How the local stack looks in a terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from inference.conditions import Condition
    from stack.doctor import Finding
    from stack.service import Context
    from stack.status import ServiceStatus

STATE_COLOURS = {"healthy": "green", "running": "green", "stopped": "dim", "exited": "dim"}


def findings_table(findings: Sequence["Finding"]) -> Table:
    """What `fraud doctor` found."""
    table = Table(box=None, pad_edge=False)
    for heading in ("", "What", "Found", "To mend it"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        mark = "[green]ok[/]" if finding.is_well else "[bold red]!![/]"
        table.add_row(mark, finding.subject, finding.detail, finding.remedy)
    return table


def wide_console() -> Console:
    """A console whose tables are not folded to 80 columns when their output goes to a file."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=180)


def status_table(context: "Context", rows: Sequence["ServiceStatus"]) -> Table:
    """What `fraud status` shows; memory is the service's share (PSS)."""
    table = Table(box=None, pad_edge=False, show_footer=True)
    total = sum(row.memory_bytes for row in rows)
    table.add_column("Service", footer="total", no_wrap=True)
    table.add_column("State", overflow="fold")
    table.add_column("PID", justify="right")
    table.add_column("Memory", justify="right", footer=_megabytes(total), no_wrap=True)
    table.add_column("Port", justify="right")
    table.add_column("URL", overflow="fold")
    table.add_column("Log", overflow="fold")
    for row in rows:
        table.add_row(*_cells(context, row))
    return table


def conditions_table(conditions: Sequence["Condition"]) -> Table:
    """What is to be attended to, below the services."""
    table = Table(box=None, pad_edge=False)
    for heading in ("Attend to", "State", "To mend it"):
        table.add_column(heading, overflow="fold")
    for condition in conditions:
        words = escape(condition.text), escape(condition.remedy)
        table.add_row(f"[bold red]{condition.about}[/]", *words)
    return table


def _cells(context: "Context", row: "ServiceStatus") -> tuple[str, ...]:
    service = row.service
    colour = STATE_COLOURS.get(row.state, "red")
    state = f"[{colour}]{row.state}[/]" + (f": {row.problem}" if row.problem else "")
    port = str(context.layout.port(service.listeners[0])) if service.listeners else ""
    log = (context.layout.logs / f"{service.name}.log").relative_to(context.layout.root)
    pid = str(row.pid) if row.pid else ""
    memory = _megabytes(row.memory_bytes) if row.memory_bytes else ""
    return service.name, state, pid, memory, port, service.url, str(log)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"


def say_where(context: "Context", seconds: float) -> None:
    """After `fraud up`: where things are and how to log in."""
    settings = context.settings
    airflow = settings.airflow
    console = Console(highlight=False)
    console.print(f"[green]Everything is healthy[/] ({seconds:.1f} s).")
    console.print(
        f"  Airflow {airflow.url}  (login {airflow.user} / {airflow.password.get_secret_value()})\n"
        f"  MLflow  {settings.mlflow.page}\n"
        f"  S3      {settings.object_store.host}  (keys in .fraud/local.env)\n"
        "`fraud status` shows the services, `fraud down` ends them.",
        soft_wrap=True,
    )
