"""Starts a training when enough labels have matured."""

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from plugins.assets import MATURED_LABELS
from plugins.run_settings import run_settings

if TYPE_CHECKING:
    from airflow.sdk import Context


class MaturedLabelsOperator(BaseOperator):
    """Announces `matured_labels` when enough frauds matured that the champion has not seen.

    With fewer it is skipped, and a skipped task announces nothing.
    """

    template_fields = ("enough",)
    ui_color = "#d5f5e3"

    def __init__(self, *, enough: int | str, **kwargs: Any) -> None:
        super().__init__(outlets=[MATURED_LABELS], **kwargs)
        self.enough = enough

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return the count and the period that it covers."""
        from dataclasses import asdict

        from airflow.sdk.exceptions import AirflowSkipException

        from models.maturity import matured_since_champion

        matured = matured_since_champion(run_settings(context["params"]))
        if matured is None or matured.frauds < int(self.enough):
            raise AirflowSkipException(f"{matured or 'no champion'}: fewer than {self.enough}")
        self.log.info("%s: training is due", matured)
        return asdict(matured)
