"""The table of services and the supervisor's configuration made from it."""

import contextlib
import shlex
import shutil
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from supervisor.options import ServerOptions

from contracts.errors import StackError
from contracts.settings import load_settings
from stack.airflow import COMPONENTS, configuration
from stack.airflow_objects import airflow_connections
from stack.bring_down import LEVELS
from stack.credentials import SECRETS, ensure_local_env, redis_password
from stack.kafka_server import server_properties
from stack.layout import BASE_PORTS, Layout
from stack.service import Context, Service
from stack.services import services
from stack.status import ServiceStatus
from stack.supervision import YIELDING, child_environment, write_configuration
from stack.topics import topic_table

CHECKOUT = Path(__file__).resolve().parents[2]


def make_context(root: Path, offset: int = 0, **variables: str) -> Context:
    """A context as `fraud up` makes it, in a scratch checkout."""
    (root / "config").mkdir(parents=True)
    shutil.copy(CHECKOUT / "config" / "config.yaml", root / "config")
    layout = Layout(root, offset)
    secrets = ensure_local_env(layout)
    return Context(layout, load_settings(root, environ=variables), secrets)


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """A checkout at offset 1000, in a folder whose name needs quoting everywhere."""
    return make_context(tmp_path / "it's 100%(pid)s here", 1000)


def by_name(context: Context) -> dict[str, Service]:
    """The table by name."""
    return {service.name: service for service in services(context)}


def supervisors_own_reading(context: Context) -> dict[str, Any]:
    """The programs as supervisord itself reads the generated file."""
    write_configuration(context, services(context))
    context.layout.logs.mkdir(exist_ok=True)
    options = ServerOptions()
    with contextlib.chdir(context.layout.root):
        options.realize(["-c", str(context.layout.run / "supervisord.conf")])
    return {p.name: p for group in options.process_group_configs for p in group.process_configs}


def test_the_supervisor_reads_the_commands_we_meant(context: Context) -> None:
    """Whatever characters the checkout's path has, supervisord understands the same command."""
    read = supervisors_own_reading(context)
    for service in services(context):
        lead = YIELDING if service.is_patient else ()
        assert tuple(shlex.split(read[service.name].command)) == (*lead, *service.command)
        assert read[service.name].directory == str(service.directory)


def test_nothing_that_a_decision_waits_for_yields_the_cores(context: Context) -> None:
    """Broker, store, tiles and stream come before the registry and Airflow."""
    read = supervisors_own_reading(context)
    yielding = {name for name, program in read.items() if program.command.startswith("nice ")}
    assert not yielding & {"kafka", "redis", "tiles", "stream", "producer"}
    assert {"mlflow", "airflow-scheduler", "airflow-api-server"} <= yielding


def test_the_supervisor_reads_the_environment_we_meant(context: Context) -> None:
    """Secrets with any character arrive whole."""
    read = supervisors_own_reading(context)
    for service in services(context):
        assert read[service.name].environment == dict(service.environment)


def test_nothing_starts_before_what_it_needs(context: Context) -> None:
    """The supervisor starts nothing by itself; `fraud up` does when the needs are healthy."""
    assert not [p for p in supervisors_own_reading(context).values() if p.autostart]


def test_the_configuration_is_its_owners_alone(context: Context) -> None:
    """The supervisor's file holds passwords: mode 600."""
    write_configuration(context, services(context))
    path = context.layout.run / "supervisord.conf"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_no_argument_list_shows_a_secret(context: Context) -> None:
    """A list of processes shows no password or key."""
    commands = " ".join(part for service in services(context) for part in service.command)
    assert not [name for name in SECRETS if context.secrets[name] in commands]


def test_every_service_has_its_level_on_the_way_down(context: Context) -> None:
    """`down` knows each service exactly once."""
    levels = [name for level in LEVELS for name in level]
    assert sorted(levels) == sorted(by_name(context))


def test_every_listener_belongs_to_a_service(context: Context) -> None:
    """The ports that `doctor` examines are those that the services use."""
    used = {listener for service in services(context) for listener in service.listeners}
    assert used | {"supervisor", "spark-ui", "stream-metrics"} == set(BASE_PORTS)


def test_a_secret_may_hold_quotation_marks(context: Context) -> None:
    """One kind arrives whole; both kinds are refused by the variable's name, never cut."""
    key = SecretStr('a"b')
    store = context.settings.object_store.model_copy(update={"secret_key": key})
    settings = context.settings.model_copy(update={"object_store": store})
    marked = replace(context, settings=settings)
    read = supervisors_own_reading(marked)["objectstore"].environment
    assert read["AWS_SECRET_ACCESS_KEY"] == 'a"b'
    both = store.model_copy(update={"secret_key": SecretStr("a\"b'c")})
    settings = context.settings.model_copy(update={"object_store": both})
    with pytest.raises(StackError, match="AWS_SECRET_ACCESS_KEY"):
        supervisors_own_reading(replace(context, settings=settings))


def test_hosts_that_need_no_proxy_stay_so(context: Context) -> None:
    """Services keep the caller's exceptions and add this machine."""
    environment = child_environment(context.layout, {"no_proxy": "store.example,localhost"})
    assert environment["NO_PROXY"].split(",") == ["store.example", "localhost", "127.0.0.1"]


def test_a_broker_elsewhere_is_not_started(tmp_path: Path) -> None:
    """With KAFKA_BROKER pointing to another machine, Kafka is remote and not supervised."""
    context = make_context(tmp_path / "x", KAFKA_BROKER="kafka.example.com:9092")
    kafka = by_name(context)["kafka"]
    assert kafka.is_remote
    assert kafka.url == "kafka.example.com:9092"
    assert "kafka" not in supervisors_own_reading(context)


def test_a_redis_elsewhere_is_not_started(tmp_path: Path) -> None:
    """By whatever address; our own is by its socket and by its port, and no login is shown."""
    for number, (url, is_remote) in enumerate(
        {
            "": False,
            "redis://:hush@localhost:6379/0": False,
            "redis://:hush@store.example:6379/0": True,
            "unix://:hush@/run/redis/redis.sock": True,
            "unix:///run/redis/redis.sock?password=hush&db=1": True,
        }.items()
    ):
        redis = by_name(make_context(tmp_path / str(number), REDIS_URL=url))["redis"]
        assert redis.is_remote == is_remote, url
        assert "hush" not in redis.url


@pytest.mark.parametrize("folder", ["it's 100% here", 'a "b" \\c'])
def test_redis_listens_on_its_socket_for_its_owner_alone(tmp_path: Path, folder: str) -> None:
    """redis.conf holds socket, mode and password; its paths may have any characters."""
    context = make_context(tmp_path / folder)
    by_name(context)["redis"].prepare(lambda: False)
    text = (context.layout.run / "redis.conf").read_text()
    words = dict(shlex.split(line)[:2] for line in text.splitlines())
    assert words["requirepass"] == redis_password(context.secrets["REDIS_URL"]) != ""
    assert words["dir"] == str(context.layout.data("redis"))
    if context.layout.redis_socket is not None:  # pytest's folder may be too deep
        assert words["unixsocket"] == str(context.layout.redis_socket)
        assert words["unixsocketperm"] == "700"


def test_localhost_is_our_own_broker(tmp_path: Path) -> None:
    """`localhost:9092` in .env still means the local Kafka."""
    context = make_context(tmp_path / "x", KAFKA_BROKER="localhost:9092")
    assert not by_name(context)["kafka"].is_remote


def test_services_learn_their_checkout(context: Context) -> None:
    """Each process knows its checkout and carries the marker by which `down` finds it."""
    root = str(context.layout.root)
    environment = child_environment(context.layout, {"PATH": "/bin", "LANG": "C"})
    assert environment["FRAUD_HOME"] == environment["FRAUD_STACK_HOME"] == root
    assert environment["PATH"].endswith(":/bin")
    assert environment["LANG"] == "C"


def test_kafka_listens_at_the_offset_and_keeps_old_records(context: Context) -> None:
    """The broker's ports follow the offset; no topic appears by itself; nothing expires."""
    text = server_properties(context.layout, context.layout.data("kafka"))
    properties = dict(line.split("=", 1) for line in text.splitlines())
    assert properties["advertised.listeners"] == "PLAINTEXT://127.0.0.1:10092"
    assert properties["controller.quorum.voters"] == "1@127.0.0.1:10093"
    assert properties["auto.create.topics.enable"] == "false"
    assert properties["log.retention.ms"] == "-1"


def test_score_records_carry_the_brokers_time(context: Context) -> None:
    """Only the scores topic uses LogAppendTime; all keep their records, but for old promises."""
    kafka = context.settings.kafka
    table = topic_table(kafka)
    assert table[kafka.scores_topic]["message.timestamp.type"] == "LogAppendTime"
    assert table[kafka.frontiers_topic] == {"cleanup.policy": "compact"}
    assert int(table[kafka.rejects_topic]["max.message.bytes"]) > 1_048_576 * 4 / 3
    special = (kafka.scores_topic, kafka.rejects_topic, kafka.frontiers_topic)
    others = [config for name, config in table.items() if name not in special]
    assert all(config == {"retention.ms": "-1"} for config in others)


def test_airflow_tasks_find_the_api_at_the_offset(context: Context) -> None:
    """Port and base address agree, or every task would report to port 8080."""
    sections = configuration(context)
    assert sections["api"]["port"] == "4333"
    assert sections["api"]["base_url"] == "http://127.0.0.1:4333"
    assert sections["core"]["dags_are_paused_at_creation"] == "False"
    assert len(sections["api_auth"]["jwt_secret"]) >= 64


def test_airflow_runs_as_four_processes(context: Context) -> None:
    """API server, scheduler, DAG processor and triggerer wait for Airflow's schema."""
    table = by_name(context)
    assert all(table[name].needs == ("airflow database",) for name in COMPONENTS)
    assert len(COMPONENTS) == 4


def test_airflows_kafka_connection_does_not_commit_by_itself(context: Context) -> None:
    """A shared-stream trigger needs auto-commit off."""
    (kafka,) = [c for c in airflow_connections(context) if c["connection_id"] == "kafka_default"]
    assert '"enable.auto.commit": false' in kafka["extra"]
    assert "127.0.0.1:10092" in kafka["extra"]


@pytest.mark.parametrize(
    ("state", "always", "on_demand"),
    [
        ("healthy", True, True),
        ("running", True, True),
        ("unhealthy", False, False),
        ("stopped", False, True),
        ("exited", False, True),
        ("fatal", False, False),
        ("backoff", False, False),
    ],
)
def test_what_status_calls_well(
    context: Context, state: str, always: bool, on_demand: bool
) -> None:
    """Only services on demand may rest; a service that fails is never well: exit code 1."""
    found = by_name(context)
    rows = [ServiceStatus(found[name], state, 0, 0, "") for name in ("tiles", "stream")]
    assert [row.is_well for row in rows] == [always, on_demand]
