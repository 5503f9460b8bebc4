"""### Check the feature store

Every day: build the state of sampled cards again from Kafka alone, in memory, and compare what it
would serve with what the store would serve. One difference fails the run. The store is only read;
`fraud rebuild-state` mends it.
"""

from airflow.sdk import DAG, CronTriggerTimetable, Param

from plugins.operators.audit import StateCheckOperator
from plugins.retries import task_defaults

with DAG(
    "check_feature_state",
    description="Rebuild sampled cards' state from Kafka and compare with the store",
    doc_md=__doc__,
    schedule=CronTriggerTimetable("0 5 * * *", timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    default_args=task_defaults(),
    tags=["fraud", "features"],
    params={
        "cards": Param(
            1_000,
            type="integer",
            minimum=1,
            maximum=100_000,
            title="Cards",
            description="How many cards of each partition are compared.",
        ),
    },
) as dag:
    StateCheckOperator(task_id="check_state", cards="{{ params.cards }}")
