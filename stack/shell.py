"""What a shell needs so that Airflow's, MLflow's and other tools find the local stack."""

import os
import shlex

from contracts.errors import StackError
from stack.layout import Layout, environment_bin
from stack.service import Context


def shell_environment(context: Context) -> dict[str, str]:
    """Variables for people and scripts; secrets stay in files where the tools allow it."""
    return {
        "FRAUD_HOME": str(context.layout.root),
        "AIRFLOW_HOME": str(context.layout.airflow_home),
        "MLFLOW_TRACKING_URI": context.settings.mlflow.tracking_uri,
        "PATH": f"{environment_bin()}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }


def refuse_unmade(layout: Layout) -> None:
    """Refuse before the first start: Airflow would make a configuration of its own.

    Raises:
        StackError: `fraud up` has never run here.
    """
    path = layout.airflow_home / "airflow.cfg"
    if not path.exists():
        raise StackError(
            "Airflow is not configured yet", value=str(path), remedy="Run `fraud up` first"
        )


def shell_exports(context: Context) -> list[str]:
    """The same as `export` lines."""
    environment = shell_environment(context)
    path = environment.pop("PATH").split(os.pathsep)[0]
    lines = [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    return [*lines, f"export PATH={shlex.quote(path)}:$PATH"]
