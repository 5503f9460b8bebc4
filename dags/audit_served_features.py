"""### Audit served features

Every day: take a sample of the newest decisions, recompute their features from Kafka's transactions
alone, and compare them bit for bit with what was served. One mismatch fails the run and its log
names the features. The feature store is not consulted, so the audit also finds a damaged store.
"""

from airflow.sdk import DAG, CronTriggerTimetable, Param

from plugins.operators.audit import FeatureAuditOperator
from plugins.retries import task_defaults

with DAG(
    "audit_served_features",
    description="Recompute sampled decisions' features from Kafka and compare",
    doc_md=__doc__,
    schedule=CronTriggerTimetable("30 4 * * *", timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    default_args=task_defaults(),
    tags=["fraud", "features"],
    params={
        "sample": Param(
            10_000,
            type="integer",
            minimum=1,
            maximum=1_000_000,
            title="Decisions",
            description="How many of the newest decisions are recomputed.",
        ),
    },
) as dag:
    FeatureAuditOperator(task_id="audit", sample="{{ params.sample }}")
