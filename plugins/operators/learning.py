"""From a snapshot to a registered model version, as mapped and retry-safe tasks."""

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from plugins.run_settings import run_settings

if TYPE_CHECKING:
    from airflow.sdk import Context


class TrainingTableOperator(BaseOperator):
    """Replays the features over the snapshot, joins the labels, and plans one job per arm."""

    template_fields = ("manifest_uri", "arms")
    ui_color = "#d5f5e3"

    def __init__(self, *, manifest_uri: Any, arms: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.manifest_uri = manifest_uri
        self.arms = arms

    def execute(self, context: "Context") -> list[dict[str, Any]]:
        """Return the arms' jobs; each names the table, the arm and the parent run in MLflow.

        Raises:
            TrainingError: an unknown arm, no labels, one class only, or too few frauds.
        """
        from models import steps

        settings = run_settings(context["params"])
        arms = steps.plan_arms(settings, self.arms)
        table_uri = steps.build_training_table(settings, self.manifest_uri)
        parent_run_id = steps.start_training_run(settings, table_uri, context["run_id"])
        self.log.info("training table %s, %d arms", table_uri, len(arms))
        return [
            {"table_uri": table_uri, "arm": arm, "parent_run_id": parent_run_id} for arm in arms
        ]


class TrainArmOperator(BaseOperator):
    """Fits and evaluates one arm on the common folds, as a child run in MLflow."""

    template_fields = ("job",)
    ui_color = "#d5f5e3"

    def __init__(self, *, job: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.job = job

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return the job, with the child run's id and its metrics."""
        from models import steps

        return self.job | steps.train_arm(run_settings(context["params"]), **self.job)


class SelectAndRegisterOperator(BaseOperator):
    """Picks the best arm by validation, calibrates it and registers it as `challenger`."""

    template_fields = ("trained",)
    ui_color = "#d5f5e3"

    def __init__(self, *, trained: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.trained = trained

    def execute(self, context: "Context") -> dict[str, str]:
        """Return the registered version and the table that it was made from."""
        from models import steps

        trained = list(self.trained)
        table_uri = trained[0]["table_uri"]
        version = steps.select_and_register(
            run_settings(context["params"]),
            table_uri,
            run_ids=[run["run_id"] for run in trained],
            parent_run_id=trained[0]["parent_run_id"],
        )
        return {"version": version, "table_uri": table_uri}
