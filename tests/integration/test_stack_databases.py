"""`init-multiple-dbs.sh` on a real Postgres: run twice, nobody's data is lost or shared."""

import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from contracts.errors import StackError
from contracts.settings import load_settings
from stack.credentials import ensure_local_env
from stack.databases import create_databases, database_environment
from stack.health import checks
from stack.layout import HOST, Layout
from stack.postgres_server import postgres
from stack.processes import holders
from stack.service import Context
from stack.waiting import wait_until_ready

pytestmark = pytest.mark.integration

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    """A Postgres of its own with empty data, on a free port."""
    root = tmp_path_factory.mktemp("postgres")
    for name in ("config", "init-multiple-dbs.sh"):
        (root / name).symlink_to(CHECKOUT / name)
    layout = _free_layout(root)
    secrets = ensure_local_env(layout)
    made = Context(layout, load_settings(root, environ={}), secrets)
    service = postgres(made)
    service.prepare(lambda: False)
    with (layout.logs / "postgres.log").open("ab") as log:
        server = subprocess.Popen(service.command, stdout=log, stderr=log)
    try:
        wait_until_ready("postgres", checks(made)["postgres"], timeout_seconds=60)
        yield made
    finally:
        server.terminate()
        server.wait(timeout=30)


def _free_layout(root: Path) -> Layout:
    for offset in random.Random().sample(range(10_000, 20_000), 50):
        layout = Layout(root, offset)
        if not holders({layout.port("postgres")}):
            return layout
    raise AssertionError("no free port")


def run_sql(context: Context, database: str, user: str, password: str, sql: str) -> list[object]:
    """The first column of what the statement gives, as the user."""
    connection = psycopg2.connect(
        host=HOST,
        port=context.layout.port("postgres"),
        dbname=database,
        user=user,
        password=password,
    )
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return [row[0] for row in cursor.fetchall()] if cursor.description else []
    finally:
        connection.close()


def test_each_database_belongs_to_its_own_user(context: Context) -> None:
    """The owner can make tables in the public schema, which a bare GRANT does not allow."""
    create_databases(context, lambda: False)
    for name in ("mlflow", "airflow"):
        password = context.secrets[f"{name.upper()}_DB_PASSWORD"]
        run_sql(context, name, name, password, "CREATE TABLE kept (x int)")
    database = context.settings.database
    run_sql(
        context,
        database.name,
        database.user,
        database.password.get_secret_value(),
        "CREATE TABLE kept (x int)",
    )


def test_a_second_run_harms_nothing(context: Context) -> None:
    """What is in a database is still there after another run, and the same login still works."""
    password = context.secrets["MLFLOW_DB_PASSWORD"]
    create_databases(context, lambda: False)
    run_sql(context, "mlflow", "mlflow", password, "CREATE TABLE IF NOT EXISTS rows (x int)")
    run_sql(context, "mlflow", "mlflow", password, "INSERT INTO rows VALUES (7)")
    create_databases(context, lambda: False)
    assert run_sql(context, "mlflow", "mlflow", password, "SELECT x FROM rows") == [7]


def test_one_user_cannot_enter_anothers_database(context: Context) -> None:
    """MLflow's login opens MLflow's database only."""
    create_databases(context, lambda: False)
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        run_sql(context, "airflow", "mlflow", context.secrets["MLFLOW_DB_PASSWORD"], "SELECT 1")


def test_a_changed_password_takes_effect(context: Context) -> None:
    """A new password in the settings works after the next run; quotes in it do no harm."""
    environment = database_environment(context)
    environment["MLFLOW_DB_PASSWORD"] = odd = 'it\'s; DROP "x" \\ $1'
    try:
        subprocess.run(["bash", CHECKOUT / "init-multiple-dbs.sh"], env=environment, check=True)
        assert run_sql(context, "mlflow", "mlflow", odd, "SELECT 1") == [1]
    finally:
        create_databases(context, lambda: False)


def test_lost_secrets_are_told(context: Context) -> None:
    """Data made with another superuser password is a clear error, not a wait for the deadline."""
    lost = Context(context.layout, context.settings, context.secrets | {"POSTGRES_PASSWORD": "x"})
    with pytest.raises(StackError, match="down --wipe"):
        checks(lost)["postgres"]()
