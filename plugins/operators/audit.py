"""Daily proofs that what is served is what the definition says."""

import zlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from plugins.run_settings import run_settings

if TYPE_CHECKING:
    from airflow.sdk import Context


class FeatureAuditOperator(BaseOperator):
    """Recomputes the served features of sampled decisions from Kafka; fails on one mismatch."""

    template_fields = ("sample",)
    ui_color = "#dff0d8"

    def __init__(self, *, sample: int | str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sample = sample

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return the audit's counts.

        Raises:
            StateError: a served vector differs, or there was none to compare.
        """
        from contracts.errors import StateError
        from features.audit import audit_decisions

        settings = run_settings(context["params"])
        seed = zlib.crc32(context["run_id"].encode())  # another sample each day, the same on retry
        report = audit_decisions(settings, int(self.sample), seed=seed)
        self.log.info(
            "%d decisions recomputed, %d mismatches, %d skipped",
            *(report.checked, report.mismatched, report.skipped),
        )
        if not report.is_clean:
            raise StateError(
                "served features differ from Kafka's, or no decision could be compared",
                value=asdict(report),
                remedy="Run `fraud rebuild-state`, then `fraud audit`, and keep the decisions",
            )
        return asdict(report)


class StateCheckOperator(BaseOperator):
    """Compares the feature store with a rebuild from Kafka; fails on one difference."""

    template_fields = ("cards",)
    ui_color = "#dff0d8"

    def __init__(self, *, cards: int | str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cards = cards

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return the check's counts.

        Raises:
            StateError: the store would serve a card other features than Kafka says.
        """
        from contracts.errors import StateError
        from features.state_check import check_state

        report = check_state(run_settings(context["params"]), int(self.cards))
        self.log.info("state: %s", report)
        if not report.is_clean:
            raise StateError(
                "the feature store differs from Kafka",
                value=asdict(report),
                remedy="Run `fraud rebuild-state`; the stream notices and goes on",
            )
        return asdict(report)
