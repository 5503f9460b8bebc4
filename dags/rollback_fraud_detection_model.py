"""### Roll back to the previous champion

Moves the alias `champion` back to `previous_champion`. The first decision by it follows within
seconds, without a restart of the stream. Fails when there is no previous champion.
"""

from airflow.sdk import DAG

from plugins.forms import text_param
from plugins.operators.registry import RollbackOperator
from plugins.retries import task_defaults

with DAG(
    "rollback_fraud_detection_model",
    description="Move the alias `champion` back to the previous champion",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    default_args=task_defaults(),
    tags=["fraud", "registry"],
    params={"why": text_param("Why", "Kept with the rollback's record.", is_required=True)},
) as dag:
    RollbackOperator(task_id="rollback", why="{{ params.why }}")
