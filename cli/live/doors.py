"""The pages that a demo opens, and how to sign in to each."""

from rich.table import Table

from contracts.settings import Settings


def doors(settings: Settings) -> Table:
    """Airflow, MLflow, Spark and the object store: address and login."""
    airflow, store = settings.airflow, settings.object_store
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("open", "address", "sign in"):
        table.add_column(title, overflow="fold")
    login = f"{airflow.user} / {airflow.password.get_secret_value()}"
    keys = f"{store.access_key.get_secret_value()} / {store.secret_key.get_secret_value()}"
    table.add_row("Airflow: DAGs and their runs", airflow.url, login)
    table.add_row("MLflow: runs and the registry", settings.mlflow.page, "none needed")
    table.add_row("Spark: the stream", f"http://127.0.0.1:{settings.spark.ui_port}", "none needed")
    table.add_row("Object store (S3 API)", store.host, keys)
    return table
