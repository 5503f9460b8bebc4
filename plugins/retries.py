"""What is tried again: a server that did not answer. Everything else fails at once."""

from datetime import timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

SERVER_RETRIES = 3
SERVER_RETRY_DELAY = timedelta(seconds=20)


def server_retry_policy() -> ExceptionRetryPolicy:
    """Retry what a restart of a server cures; data, settings and models do not mend themselves.

    Expired offsets are a broker error that no retry cures, so their rule comes first. A process
    that was killed raises nothing here: Airflow's own `retries` start it again.
    """
    return ExceptionRetryPolicy(
        rules=[
            RetryRule(
                exception="contracts.errors.OffsetsExpiredError",
                action=RetryAction.FAIL,
                reason="The records are gone from Kafka: take a new snapshot",
            ),
            RetryRule(
                exception="contracts.errors.BundleError",
                action=RetryAction.FAIL,
                reason="The model version is unusable and stays so",
            ),
            RetryRule(
                exception=[
                    "contracts.errors.BrokerError",
                    "contracts.errors.StoreError",
                    "contracts.errors.ObjectStoreError",
                    "contracts.errors.RegistryError",
                ],
                action=RetryAction.RETRY,
                retry_delay=SERVER_RETRY_DELAY,
                reason="A server did not answer",
            ),
            RetryRule(
                exception=Exception,
                action=RetryAction.FAIL,
                reason="Not a server's absence: trying again would fail alike",
            ),
        ]
    )


def task_defaults() -> dict[str, Any]:
    """`default_args` of every DAG here."""
    return {
        "owner": "fraud-platform",
        "retries": SERVER_RETRIES,
        "retry_delay": SERVER_RETRY_DELAY,
        "retry_policy": server_retry_policy(),
        "execution_timeout": timedelta(hours=2),
    }
