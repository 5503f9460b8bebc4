"""### Promote a version to champion

Moves the registry's alias `champion` to the version given, keeps the one before as
`previous_champion`, and records who, when and why. Running streams notice within seconds. Promoting
the champion again changes nothing. An incomplete version, or one made for other features than the
code's, is refused. With **ask a person** somebody approves first.
"""

from typing import Any

from airflow.sdk import DAG, Param, TriggerRule, task

from plugins.forms import text_param
from plugins.operators.approval import promotion_approval
from plugins.operators.registry import PromoteOperator
from plugins.retries import task_defaults

with DAG(
    "promote_fraud_detection_model",
    description="Move the alias `champion` to a registered version",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    default_args=task_defaults(),
    tags=["fraud", "registry"],
    params={
        "version": Param(
            type="integer",
            minimum=1,
            title="Version",
            description="The version's number in MLflow's registry.",
        ),
        "why": text_param("Why", "Kept with the promotion's record.", is_required=True),
        "ask": Param(
            False,
            type="boolean",
            title="Ask a person",
            description="Wait for an approval in Airflow before anything changes.",
        ),
    },
) as dag:

    @task.branch
    def ask_or_promote(params: dict[str, Any]) -> str:
        """Name the task that comes next."""
        return "approve_promotion" if params["ask"] else "promote"

    approval = promotion_approval(
        subject="Promote version {{ params.version }} to champion?",
        body="{{ params.why }}",
    )
    promotion = PromoteOperator(
        task_id="promote",
        version="{{ params.version }}",
        why="{{ params.why }}",
        trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS,
    )
    ask_or_promote() >> [approval, promotion]
    approval >> promotion
