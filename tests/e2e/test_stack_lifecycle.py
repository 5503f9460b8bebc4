"""The whole local stack in a checkout of its own: up, again, after any death, and down."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from checkouts import FRAUD, SERVICES, Checkout, await_condition, make_checkout, unhealthy
from confluent_kafka.admin import AdminClient

from contracts.kafka import client_config
from stack.health import ask_json
from stack.layout import BASE_PORTS
from stack.processes import holders, strays
from stack.topics import topic_table

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A checkout whose stack was brought up from nothing."""
    checkout = make_checkout(tmp_path_factory.mktemp("checkout"))
    try:
        result = checkout.fraud("up")
        assert result.returncode == 0, result.stdout + result.stderr
        yield checkout
    finally:
        checkout.fraud("down")


def test_after_up_every_service_answers(stack: Checkout) -> None:
    """All ten services are healthy, and nothing that runs on demand was started."""
    rows = stack.status()
    assert unhealthy(stack) == {}
    assert {name for name, row in rows.items() if row.pid} == set(SERVICES)


def test_up_made_topics_connections_and_an_experiment(stack: Checkout) -> None:
    """Initialisation: all topics, Airflow's connections, MLflow's experiment."""
    settings = stack.context.settings
    topics = AdminClient(client_config(settings.kafka)).list_topics(timeout=10).topics
    own = {name for name in topics if not name.startswith("__")}
    assert own == set(topic_table(settings.kafka))
    counts = {name: len(topics[name].partitions) for name in own}
    assert counts.pop(settings.kafka.frontiers_topic) == 1
    assert set(counts.values()) == {settings.kafka.partitions}
    login = {
        "username": settings.airflow.user,
        "password": settings.airflow.password.get_secret_value(),
    }
    api = settings.airflow.url
    token = ask_json(f"{api}/auth/token", method="POST", body=login)["access_token"]
    held = ask_json(f"{api}/api/v2/connections", token=token)["connections"]
    assert {"kafka_default", "fraud_object_store"} <= {row["connection_id"] for row in held}
    name = settings.mlflow.experiment
    found = ask_json(
        f"{settings.mlflow.tracking_uri}/api/2.0/mlflow/experiments/get-by-name"
        f"?experiment_name={name}"
    )
    assert found["experiment"]["name"] == name


def test_the_stack_listens_to_this_machine_only(stack: Checkout) -> None:
    """No service is reachable from another machine."""
    own = {process.pid for process in strays(stack.layout)}
    open_to_all = [
        (row.laddr.ip, row.laddr.port)
        for row in psutil.net_connections(kind="tcp")
        if row.status == psutil.CONN_LISTEN and row.pid in own
    ]
    assert {ip.removeprefix("::ffff:") for ip, _ in open_to_all} == {"127.0.0.1"}


def test_up_again_does_nothing(stack: Checkout) -> None:
    """The second `up` starts no process and changes no secret."""
    pids = {name: row.pid for name, row in stack.status().items()}
    secrets = stack.layout.local_env.read_text()
    assert stack.fraud("up").returncode == 0
    assert {name: row.pid for name, row in stack.status().items()} == pids
    assert stack.layout.local_env.read_text() == secrets


def test_status_and_logs_show_each_service(stack: Checkout) -> None:
    """`fraud status` has a line per service with its port; `fraud logs` shows its log."""
    answer = stack.fraud("status")
    table = answer.stdout
    assert answer.returncode == 0, "a fresh stack, without a champion or a stream, is well"
    assert all(name in table for name in SERVICES)
    assert str(stack.layout.port("kafka")) in table
    assert "Kafka Server started" in stack.fraud("logs", "kafka").stdout


def test_the_stack_fits_its_share_of_memory(stack: Checkout) -> None:
    """Without the stream the services take less than 2.5 GB (PSS): Spark needs the rest of 5."""
    assert sum(row.memory_bytes for row in stack.status().values()) < 2.5e9


@pytest.mark.parametrize("name", SERVICES)
def test_a_killed_service_comes_back(stack: Checkout, name: str) -> None:
    """After kill -9 a service runs again as another process, and answers."""
    before = stack.status()[name].pid
    psutil.Process(before).kill()

    def is_back() -> bool:
        row = stack.status()[name]
        return row.pid not in (0, before) and row.state == "healthy"

    await_condition(is_back, f"{name} healthy again")


def test_after_all_those_deaths_everything_answers(stack: Checkout) -> None:
    """No service was lost because another one died."""
    await_condition(lambda: unhealthy(stack) == {}, "every service healthy")


def test_up_recovers_from_the_supervisors_death(stack: Checkout) -> None:
    """With the supervisor killed, `up` ends what it left behind and starts everything again."""
    (supervisor,) = [p for p in strays(stack.layout) if "supervisord" in " ".join(p.cmdline())]
    supervisor.kill()
    supervisor.wait(timeout=10)
    result = stack.fraud("up")
    assert result.returncode == 0, result.stdout + result.stderr
    assert unhealthy(stack) == {}


def test_down_works_with_wrong_settings_and_leaves_no_process(stack: Checkout) -> None:
    """A misspelt setting does not keep the stack from being stopped."""
    (stack.root / ".env").write_text("KAFKA_BROKKER=x\n")
    try:
        result = stack.fraud("down")
    finally:
        (stack.root / ".env").unlink()
    assert result.returncode == 0, result.stdout + result.stderr
    assert strays(stack.layout) == []
    assert holders({stack.layout.port(name) for name in BASE_PORTS}) == {}


def test_down_again_does_nothing(stack: Checkout) -> None:
    """`down` without a stack succeeds; `--wipe` then forgets the data, not the jars."""
    assert stack.fraud("down").returncode == 0
    assert stack.fraud("down", "--wipe").returncode == 0
    assert not (stack.layout.state / "data").exists()
    assert (stack.layout.jars / "kafka").exists()


@pytest.mark.parametrize("seconds", [0.7, 2.5, 6.0])
def test_ctrl_c_during_up_leaves_no_process(tmp_path: Path, seconds: float) -> None:
    """Interrupted at any moment, `up` ends what it started and says no traceback."""
    checkout = make_checkout(tmp_path)
    process = subprocess.Popen(
        [FRAUD, "up"],
        env=checkout.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    time.sleep(seconds)  # the moment itself is what is tested
    os.killpg(process.pid, signal.SIGINT)
    try:
        output, _ = process.communicate(timeout=90)
        assert process.returncode != 0
        assert "Traceback" not in output
        assert strays(checkout.layout) == []
    finally:
        checkout.fraud("down")  # a failure may not leave a stack behind


def test_a_taken_port_names_the_culprit(tmp_path: Path) -> None:
    """`up` starts nothing, names port and process, and ends with code 2."""
    checkout = make_checkout(tmp_path)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", checkout.layout.port("kafka")))
        listener.listen()
        results = [checkout.fraud("up"), checkout.fraud("doctor")]
    for result in results:
        assert result.returncode == 2
        assert f"pid {os.getpid()}" in result.stdout + result.stderr
        assert "Traceback" not in result.stderr
    assert strays(checkout.layout) == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("KAFKA_BROKKER=x", "Did you mean KAFKA_BROKER"),
        ("DB_PORT=many", "DB_PORT"),
        ("FRAUD_PORT_OFFSET=-5", "FRAUD_PORT_OFFSET"),
    ],
)
def test_wrong_settings_are_one_message(tmp_path: Path, line: str, message: str) -> None:
    """An unknown key or a wrong type ends `up` with code 2, one sentence and no traceback."""
    checkout = make_checkout(tmp_path)
    (tmp_path / ".env").write_text(line + "\n")
    environment = checkout.environment
    del environment["FRAUD_PORT_OFFSET"]
    result = subprocess.run(
        [FRAUD, "up"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
