"""The Airflow plugin: links from Airflow's menu to the platform's other pages."""

import os
from pathlib import Path
from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin


class FraudPlugin(AirflowPlugin):
    """Adds MLflow's and Spark's pages to Airflow's menu."""

    name = "fraud_platform"
    external_views: ClassVar[list[dict[str, Any]]] = []

    @classmethod
    def on_load(cls, *_: Any, **__: Any) -> None:
        """Read the addresses once, when Airflow loads the plugin; without a checkout, no links."""
        from contracts.settings import load_settings

        home = os.environ.get("FRAUD_HOME")
        if home is None:
            return
        settings = load_settings(Path(home))
        cls.external_views[:] = [
            _view("Runs and models (MLflow)", settings.mlflow.tracking_uri),
            _view("Stream (Spark)", f"http://127.0.0.1:{settings.spark.ui_port}"),
        ]


def _view(name: str, url: str) -> dict[str, Any]:
    return {"name": name, "href": url, "destination": "nav", "category": "browse"}
