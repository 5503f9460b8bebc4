"""Airflow's four processes and their generated configuration."""

import configparser
import io
import json
from collections.abc import Mapping

from stack.credentials import write_private
from stack.layout import HOST, Layout, environment_bin
from stack.service import Context, Service

COMPONENTS: Mapping[str, tuple[str, ...]] = {
    "airflow-api-server": ("api-server",),
    # Task logs are files on this machine: no component needs to serve them.
    "airflow-scheduler": ("scheduler", "--skip-serve-logs"),
    "airflow-dag-processor": ("dag-processor",),
    "airflow-triggerer": ("triggerer", "--skip-serve-logs"),
}
"""Service to `airflow` arguments."""
EXECUTOR = "plugins.preloaded_executor.PreloadedLocalExecutor"


def airflow_services(context: Context) -> tuple[Service, ...]:
    """API server, scheduler, DAG processor and triggerer, all on one configuration."""
    layout = context.layout
    return tuple(
        Service(
            name=name,
            command=(str(environment_bin() / "airflow"), *arguments),
            directory=layout.state,
            needs=("airflow database",),
            is_patient=True,
            environment=_environment(layout),
            listeners=("airflow",) if name == "airflow-api-server" else (),
            url=layout.url("airflow") if name == "airflow-api-server" else "",
        )
        for name, arguments in COMPONENTS.items()
    )


def _environment(layout: Layout) -> dict[str, str]:
    # Arms train side by side: threads that spin while they wait for each other cost three times
    # the time on two busy cores.
    return {"AIRFLOW_HOME": str(layout.airflow_home), "OMP_WAIT_POLICY": "PASSIVE"}


def write_configuration(context: Context) -> None:
    """Write `airflow.cfg` and the login file, readable by their owner only."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_dict(configuration(context))
    text = io.StringIO()
    parser.write(text)
    write_private(context.layout.airflow_home / "airflow.cfg", text.getvalue().replace("%", "%%"))
    airflow = context.settings.airflow
    logins = {airflow.user: airflow.password.get_secret_value()}
    write_private(context.layout.airflow_home / "logins.json", json.dumps(logins))


def configuration(context: Context) -> dict[str, dict[str, str]]:
    """Section to option to value, where it differs from Airflow's default."""
    layout, secrets = context.layout, context.secrets
    return {
        "core": _core(context),
        "database": {"sql_alchemy_conn": database_url(layout, secrets["AIRFLOW_DB_PASSWORD"])},
        "api": {
            "host": HOST,
            "port": str(layout.port("airflow")),
            # Tasks report to this address; without it they look for port 8080.
            "base_url": layout.url("airflow"),
            "workers": "1",
            "secret_key": secrets["AIRFLOW_API_SECRET"],
        },
        "api_auth": {"jwt_secret": secrets["AIRFLOW_JWT_SECRET"]},
        "dag_processor": {
            "refresh_interval": "10",
            # Parsing every file every ten seconds would keep half a core busy for nothing.
            "min_file_process_interval": "120",
            "parsing_processes": "1",
        },
        "logging": {"base_log_folder": str(layout.logs / "airflow")},
        "scheduler": {"scheduler_health_check_server_host": HOST},
        "triggerer": {"default_capacity": "100"},
        "usage_data_collection": {"enabled": "False"},
    }


def database_url(layout: Layout, password: str) -> str:
    """Airflow's own database."""
    return f"postgresql+psycopg2://airflow:{password}@{HOST}:{layout.port('postgres')}/airflow"


def _core(context: Context) -> dict[str, str]:
    layout, secrets = context.layout, context.secrets
    return {
        "dags_folder": str(layout.root / "dags"),
        "plugins_folder": str(layout.root / "plugins"),
        "executor": EXECUTOR,
        "parallelism": "4",
        "load_examples": "False",
        "dags_are_paused_at_creation": "False",
        "fernet_key": secrets["AIRFLOW_FERNET_KEY"],
        "simple_auth_manager_users": f"{context.settings.airflow.user}:admin",
        "simple_auth_manager_passwords_file": str(layout.airflow_home / "logins.json"),
    }
