"""A bounded read of Kafka into the object store."""

from logging import Logger
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from plugins.run_settings import run_settings

if TYPE_CHECKING:
    from airflow.sdk import Context

STEPS = 20


class StepLog:
    """Writes a topic's progress to a log at every twentieth of the way, however large the topic."""

    def __init__(self, log: Logger) -> None:
        self._log = log
        self._steps: dict[str, int] = {}

    def __call__(self, topic: str, done: int, total: int) -> None:
        """Note that `done` of `total` records of `topic` are read."""
        step = STEPS * done // total if total else STEPS
        if step > self._steps.get(topic, 0):
            self._steps[topic] = step
            self._log.info(
                "%s: %d of %d records (%d %%)", topic, done, total, 100 * done // max(total, 1)
            )


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
            run_settings(context["params"]), reference=self.reference, progress=StepLog(self.log)
        )
        self.log.info("snapshot %s", manifest.uri)
        return manifest.uri
