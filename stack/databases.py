"""The databases and their owners, and Airflow's schema; each safe to repeat."""

import importlib.metadata
import json
from collections.abc import Callable

import psycopg2

from stack.airflow import write_configuration
from stack.commands import run_command
from stack.credentials import write_private
from stack.layout import HOST, environment_bin
from stack.postgres_server import SUPERUSER, binaries
from stack.service import Context

SCRIPT = "init-multiple-dbs.sh"


def create_databases(context: Context, cancelled: Callable[[], bool]) -> None:
    """Databases and their owners, by the script that compose uses too."""
    run_command(
        ["bash", str(context.layout.root / SCRIPT)],
        doing="making the databases",
        log=context.layout.logs / "databases.log",
        remedy="See the log; then run `fraud up` again",
        environment=database_environment(context),
        cancelled=cancelled,
    )


def database_environment(context: Context) -> dict[str, str]:
    """What `init-multiple-dbs.sh` reads."""
    path = f"{binaries()}:/usr/local/bin:/usr/bin:/bin"
    database, secrets = context.settings.database, context.secrets
    return {
        "PATH": path,
        "PGHOST": HOST,
        "PGPORT": str(context.layout.port("postgres")),
        "PGUSER": SUPERUSER,
        "PGDATABASE": "postgres",
        "PGPASSWORD": secrets["POSTGRES_PASSWORD"],
        "FRAUD_DB_NAME": database.name,
        "FRAUD_DB_USER": database.user,
        "FRAUD_DB_PASSWORD": database.password.get_secret_value(),
        "MLFLOW_DB_PASSWORD": secrets["MLFLOW_DB_PASSWORD"],
        "AIRFLOW_DB_PASSWORD": secrets["AIRFLOW_DB_PASSWORD"],
    }


def migrate_airflow(context: Context, cancelled: Callable[[], bool]) -> None:
    """Bring Airflow's schema to this version; skipped when it was done for this very database."""
    write_configuration(context)
    stamp = context.layout.airflow_home / "migrated.json"
    version = importlib.metadata.version("apache-airflow")
    revision = _airflow_revision(context)
    if revision and stamp.exists() and json.loads(stamp.read_text()) == [version, revision]:
        return
    run_command(
        [str(environment_bin() / "airflow"), "db", "migrate"],
        doing="preparing Airflow's database",
        log=context.layout.logs / "airflow-migrate.log",
        remedy="See the log; then run `fraud up` again",
        environment={"AIRFLOW_HOME": str(context.layout.airflow_home)},
        cancelled=cancelled,
    )
    write_private(stamp, json.dumps([version, _airflow_revision(context)]))


def _airflow_revision(context: Context) -> str | None:
    connection = psycopg2.connect(
        host=HOST,
        port=context.layout.port("postgres"),
        user="airflow",
        password=context.secrets["AIRFLOW_DB_PASSWORD"],
        dbname="airflow",
    )
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('alembic_version')")
            if cursor.fetchone() == (None,):
                return None
            cursor.execute("SELECT version_num FROM alembic_version")
            row = cursor.fetchone()
            return str(row[0]) if row else None
    finally:
        connection.close()
