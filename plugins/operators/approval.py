"""A person's yes or no, given on Airflow's page, before something changes."""

from datetime import timedelta

from airflow.providers.standard.operators.hitl import ApprovalOperator

ANSWER_WITHIN = timedelta(days=1)
APPROVAL_TASK = "approve_promotion"


def promotion_approval(*, subject: str, body: str) -> ApprovalOperator:
    """Ask on Airflow's page, holding no worker; a day of silence counts as a no."""
    return ApprovalOperator(
        task_id=APPROVAL_TASK,
        subject=subject,
        body=body,
        defaults=ApprovalOperator.REJECT,
        response_timeout=ANSWER_WITHIN,
        execution_timeout=None,
    )
