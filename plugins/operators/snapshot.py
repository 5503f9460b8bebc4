"""A bounded read of Kafka into the object store."""

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from plugins.run_settings import run_settings

if TYPE_CHECKING:
    from airflow.sdk import Context


class KafkaSnapshotOperator(BaseOperator):
    """Copies what the topics hold now, by recorded end offsets, to Parquet with a manifest.

    Safe to retry: the end offsets of a `reference` are written once, and a later try reads the same
    ranges and keeps the parts that are complete. Progress is in the task's log.
    """

    template_fields = ("reference",)
    ui_color = "#d4e6f1"

    def __init__(self, *, reference: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reference = reference

    def execute(self, context: "Context") -> str:
        """Return the manifest's URI.

        Raises:
            OffsetsExpiredError: retention has deleted records of the range (not retried).
            BrokerError, ObjectStoreError: a server did not answer (retried).
        """
        from models.snapshot import take_snapshot

        manifest = take_snapshot(
            run_settings(context["params"]), reference=self.reference, progress=self._log_progress
        )
        self.log.info("snapshot %s", manifest.uri)
        return manifest.uri

    def _log_progress(self, topic: str, done: int, total: int) -> None:
        share = 100 * done / total if total else 100
        self.log.info("%s: %d of %d records (%.0f %%)", topic, done, total, share)
