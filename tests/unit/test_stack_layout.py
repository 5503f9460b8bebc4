"""Where a checkout's ports and files are."""

from pathlib import Path

import pytest

from contracts.errors import StackError
from stack.layout import BASE_PORTS, HIGHEST_OFFSET, Layout, beside_spark, checked_offset


def test_two_checkouts_with_another_offset_share_no_port() -> None:
    """No listener of a checkout at offset 1000 has the port of any listener at offset 0."""
    first, second = Layout(Path("/a")), Layout(Path("/b"), 1000)
    ports = {first.port(name) for name in BASE_PORTS}
    assert ports.isdisjoint({second.port(name) for name in BASE_PORTS})


def test_every_listener_has_a_port_of_its_own() -> None:
    """Two listeners never share a port."""
    assert len(set(BASE_PORTS.values())) == len(BASE_PORTS)


def test_known_ports_are_the_documented_ones() -> None:
    """Airflow, MLflow, the Spark UI and the object store stand where the README says."""
    layout = Layout(Path("/a"))
    names = ("airflow", "mlflow", "spark-ui", "objectstore")
    assert [layout.port(name) for name in names] == [3333, 5500, 4040, 9000]


@pytest.mark.parametrize("listener", ["stream-metrics", "tiles-metrics"])
def test_commands_serve_metrics_where_the_stack_looks(listener: str) -> None:
    """A page's port, counted from the Spark UI's in the settings, is that of the layout."""
    layout = Layout(Path("/a"), 1000)
    assert beside_spark(listener, layout.port("spark-ui")) == layout.port(listener)


@pytest.mark.parametrize("text", ["-1", "1.5", "abc", "", "²", str(HIGHEST_OFFSET + 1)])
def test_an_unusable_offset_is_refused_with_its_value(text: str) -> None:
    """An offset that is no whole number, or leads past port 65535, names itself in the error."""
    with pytest.raises(StackError, match="FRAUD_PORT_OFFSET") as caught:
        checked_offset(text)
    assert caught.value.value == text


def test_the_highest_offset_keeps_every_port_valid() -> None:
    """At the highest accepted offset the largest port is 65535."""
    layout = Layout(Path("/a"), checked_offset(str(HIGHEST_OFFSET)))
    assert max(layout.port(name) for name in BASE_PORTS) == 65535
