"""What `fraud doctor` says of a machine."""

import os
import socket
from pathlib import Path

import pytest

from contracts.errors import StackError
from stack.doctor import (
    MINIMUM_FREE_DISK_GB,
    Finding,
    disk_finding,
    java_finding,
    java_major,
    memory_finding,
    port_findings,
    python_finding,
)
from stack.layout import Layout
from stack.processes import Holder, holders

JAVA_17 = 'openjdk version "17.0.15" 2025-04-15\nOpenJDK Runtime Environment\n'
JAVA_8 = 'java version "1.8.0_402"\nJava(TM) SE Runtime Environment\n'


@pytest.mark.parametrize(
    ("text", "major"), [(JAVA_17, 17), (JAVA_8, 8), ('openjdk version "25" 2026', 25), ("?", None)]
)
def test_javas_version_is_read_in_both_forms(text: str, major: int | None) -> None:
    """`17.0.15` is 17, `1.8.0` is 8, `25` is 25, and other text is unknown."""
    assert java_major(text) == major


def test_an_old_java_is_told_with_a_remedy() -> None:
    """Java 8 is found too old, and the finding says how to install a newer one."""
    finding = java_finding(lambda: JAVA_8)
    assert not finding.is_well
    assert "8, but 17" in finding.detail
    assert "openjdk-17" in finding.remedy


def test_a_missing_java_is_a_finding() -> None:
    """No Java is something to mend, not an error of the examination."""

    def missing() -> str:
        raise StackError("no `java` was found")

    assert java_finding(missing) == Finding(
        "Java", "no `java` was found", java_finding(lambda: JAVA_8).remedy
    )


def test_java_17_and_python_311_are_well() -> None:
    """The documented prerequisites pass."""
    assert java_finding(lambda: JAVA_17).is_well
    assert python_finding((3, 11)).is_well


def test_another_python_is_told() -> None:
    """Python 3.12 is not what the lock was made for."""
    assert not python_finding((3, 12)).is_well


def test_a_taken_port_names_the_culprit() -> None:
    """A real listener on Kafka's port is told with the port, the service, pid and command."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        layout = Layout(Path("/a"), listener.getsockname()[1] - 9092)
        taken = holders({layout.port("kafka")})
    (finding,) = port_findings(layout, taken, own=set())
    assert (
        f"port {layout.port('kafka')} for kafka is taken by pid {os.getpid()} (" in finding.detail
    )
    assert "FRAUD_PORT_OFFSET" in finding.remedy


def test_our_own_listeners_are_no_problem() -> None:
    """A port held by this checkout's stack is not reported."""
    findings = port_findings(Layout(Path("/a")), {9092: Holder(7, "java")}, own={7})
    assert all(finding.is_well for finding in findings)


def test_another_users_listener_is_told_without_a_pid() -> None:
    """A port whose holder the system hides is still reported."""
    (finding,) = port_findings(Layout(Path("/a")), {5432: Holder(None, "somebody")}, own=set())
    assert "taken by somebody" in finding.detail


def test_little_disk_is_told() -> None:
    """Less than what is needed is a problem; as much is not."""
    assert not disk_finding(MINIMUM_FREE_DISK_GB - 0.1).is_well
    assert disk_finding(MINIMUM_FREE_DISK_GB).is_well


def test_little_memory_is_told_unless_the_stack_has_it() -> None:
    """Free memory counts only before the stack took its share."""
    assert not memory_finding(1.0, is_running=False).is_well
    assert memory_finding(1.0, is_running=True).is_well
