"""### Train when enough labels have matured

Every hour: count the frauds that became old enough to learn from since the champion's training, by
the newest transaction's clock. When there are enough, announce `matured_labels`, on which
`train_fraud_detection_model` starts. Announcements that pile up start one training.
"""

from airflow.sdk import DAG, CronTriggerTimetable, Param

from plugins.forms import days_param
from plugins.operators.matured import MaturedLabelsOperator
from plugins.retries import task_defaults

with DAG(
    "watch_matured_labels",
    description="Start a training when enough labels have matured",
    doc_md=__doc__,
    schedule=CronTriggerTimetable("7 * * * *", timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    default_args=task_defaults(),
    tags=["fraud", "learning"],
    params={
        "enough": Param(
            500,
            type="integer",
            minimum=1,
            title="Frauds",
            description="So many newly matured frauds start a training.",
        ),
        "maturity_days": days_param(
            "Maturity (days)", "Younger transactions have no trusted label."
        ),
    },
) as dag:
    MaturedLabelsOperator(task_id="count_matured", enough="{{ params.enough }}")
