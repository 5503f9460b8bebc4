"""### Evaluate the champion on what has matured

Every day: **snapshot** copies what Kafka holds, **evaluate** joins the labels that are known by now
and measures the champion on the newest matured days, as a run in MLflow beside the training runs.
'Now' is the newest transaction's time, so a time-lapse is evaluated by the world's own clock.
Nothing is trained and no alias moves.
"""

from airflow.sdk import DAG, CronTriggerTimetable

from plugins.forms import days_param
from plugins.operators.evaluation import EvaluateChampionOperator
from plugins.operators.snapshot import KafkaSnapshotOperator
from plugins.retries import task_defaults

with DAG(
    "evaluate_champion",
    description="Measure the champion on newly matured labels",
    doc_md=__doc__,
    schedule=CronTriggerTimetable("0 4 * * *", timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    default_args=task_defaults(),
    tags=["fraud", "learning"],
    params={
        "maturity_days": days_param(
            "Maturity (days)", "Younger transactions have no trusted label."
        ),
        "test_days": days_param("Test (days)", "Length of the evaluated period."),
    },
) as dag:
    snapshot = KafkaSnapshotOperator(task_id="snapshot", reference="{{ run_id }}")
    EvaluateChampionOperator(task_id="evaluate", manifest_uri=snapshot.output)
