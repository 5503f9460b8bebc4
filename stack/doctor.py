"""Is this machine fit to run the stack: what is wrong, and how to mend it."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from contracts.errors import StackError
from stack.jars import java_command
from stack.layout import BASE_PORTS, Layout
from stack.processes import Holder, holders, strays

MINIMUM_JAVA = 17
MINIMUM_FREE_MEMORY_GB = 5.0
MINIMUM_FREE_DISK_GB = 2.0
"""Once installed; `install.sh` asks for more."""
GIGABYTE = 1e9


@dataclass(frozen=True, slots=True)
class Finding:
    """One examined thing; `remedy` is empty when it is well."""

    subject: str
    detail: str
    remedy: str = ""

    @property
    def is_well(self) -> bool:
        """Whether nothing needs mending."""
        return not self.remedy


def examine(layout: Layout) -> list[Finding]:
    """Everything that the stack needs from the machine."""
    return [
        python_finding(sys.version_info[:2]),
        java_finding(read_java_version),
        *port_findings(layout, holders(_ports(layout)), {p.pid for p in strays(layout)}),
        memory_finding(psutil.virtual_memory().available / GIGABYTE, bool(strays(layout))),
        disk_finding(free_disk_gb(layout)),
    ]


def python_finding(version: tuple[int, int]) -> Finding:
    """Python 3.11, which the lock was made for."""
    shown = ".".join(str(part) for part in version)
    if version == (3, 11):
        return Finding("Python", shown)
    return Finding("Python", f"{shown}, but 3.11 is needed", "Run `make install PYTHON=python3.11`")


def java_finding(read: Callable[[], str]) -> Finding:
    """Java 17 or newer; `read` gives what `java -version` prints."""
    remedy = (
        "Debian: apt install openjdk-17-jre-headless; macOS: brew install openjdk@17; "
        "then see that `java -version` shows it"
    )
    try:
        version = java_major(read())
    except StackError as error:
        return Finding("Java", error.cause, remedy)
    if version is None:
        return Finding("Java", "its version cannot be read", remedy)
    if version < MINIMUM_JAVA:
        return Finding("Java", f"{version}, but {MINIMUM_JAVA} or newer is needed", remedy)
    return Finding("Java", str(version))


def read_java_version() -> str:
    """What `java -version` prints.

    Raises:
        StackError: there is no Java, or it does not answer.
    """
    try:
        result = subprocess.run(
            [java_command(), "-version"], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StackError(f"`java -version` failed: {error}") from error
    return result.stderr + result.stdout


def java_major(text: str) -> int | None:
    """The feature release in Java's version text; 8 for the old `1.8.0` form."""
    found = re.search(r'version "(\d+)(?:\.(\d+))?', text)
    if found is None:
        return None
    first, second = int(found[1]), int(found[2] or 0)
    return second if first == 1 else first


def port_findings(layout: Layout, taken: dict[int, Holder], own: set[int]) -> list[Finding]:
    """One finding per port that somebody else holds; one for all when they are free."""
    foreign = [
        _taken(layout, name, taken[layout.port(name)])
        for name in BASE_PORTS
        if layout.port(name) in taken and taken[layout.port(name)].pid not in own
    ]
    return foreign or [Finding("Ports", f"free, or ours (offset {layout.offset})")]


def _taken(layout: Layout, name: str, holder: Holder) -> Finding:
    who = holder.name if holder.pid is None else f"pid {holder.pid} ({holder.name})"
    return Finding(
        "Ports",
        f"port {layout.port(name)} for {name} is taken by {who}",
        "End that process, or choose other ports: FRAUD_PORT_OFFSET=1000 in .env",
    )


def refuse_unfit(layout: Layout) -> None:
    """Stop before anything starts: no Java, a port in use, no room on the disk.

    Memory is left to `fraud doctor`: what is free now says little of a machine that can swap.

    Raises:
        StackError: names what is wrong and, of a port, who holds it.
    """
    findings = (
        java_finding(read_java_version),
        *port_findings(layout, holders(_ports(layout)), set()),
        disk_finding(free_disk_gb(layout)),
    )
    bad = [finding for finding in findings if not finding.is_well]
    if bad:
        causes = "; ".join(f"{finding.subject}: {finding.detail}" for finding in bad)
        raise StackError(causes, remedy=bad[0].remedy)


def free_disk_gb(layout: Layout) -> float:
    """Free space where the checkout is, in gigabytes."""
    return shutil.disk_usage(layout.root).free / GIGABYTE


def _ports(layout: Layout) -> set[int]:
    return {layout.port(name) for name in BASE_PORTS}


def memory_finding(free_gb: float, is_running: bool) -> Finding:
    """Free memory, in gigabytes, unless the stack already has its share."""
    shown = f"{free_gb:.1f} GB free"
    if free_gb >= MINIMUM_FREE_MEMORY_GB or is_running:
        return Finding("Memory", shown)
    return Finding(
        "Memory", f"{shown}, {MINIMUM_FREE_MEMORY_GB:.0f} GB needed", "End other programs"
    )


def disk_finding(free_gb: float) -> Finding:
    """Free disk space at the checkout, in gigabytes."""
    shown = f"{free_gb:.1f} GB free"
    if free_gb >= MINIMUM_FREE_DISK_GB:
        return Finding("Disk", shown)
    remedy = "Make room, or move the checkout to a larger disk"
    return Finding("Disk", f"{shown}, {MINIMUM_FREE_DISK_GB:.0f} GB needed", remedy)
