"""How the champion does on what has matured since."""

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from plugins.run_settings import run_settings

if TYPE_CHECKING:
    from airflow.sdk import Context


class EvaluateChampionOperator(BaseOperator):
    """Joins the newest labels to the snapshot and measures the champion on its test days."""

    template_fields = ("manifest_uri",)
    ui_color = "#fdebd0"

    def __init__(self, *, manifest_uri: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.manifest_uri = manifest_uri

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return the figures; they are also an MLflow run.

        Raises:
            RegistryError: there is no champion, or MLflow does not answer.
            TrainingError: too little has matured to measure anything.
        """
        from models import steps

        settings = run_settings(context["params"])
        table_uri = steps.build_training_table(settings, self.manifest_uri)
        figures = steps.evaluate_champion(settings, table_uri)
        self.log.info("champion: %s", figures)
        return figures
