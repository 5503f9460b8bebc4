"""### Start, check or stop the streaming job

The stream is a supervised service, so no task here runs for ever. **apply_action** starts, stops or
restarts it; starting what runs, or stopping what is stopped, does nothing. A start or restart may
set another pace: interval and size of the micro-batches. Then the health checks fail loudly: the
service must run, decisions must advance while transactions wait, and the newest decisions must be
by the registry's champion, not by the fallback rules.
"""

from airflow.sdk import DAG, Param

from plugins.forms import choice_param
from plugins.operators.stream import (
    ChampionDecidesOperator,
    StreamActionOperator,
    StreamProgressOperator,
    StreamRunningOperator,
)
from plugins.retries import task_defaults

ACTIONS = {
    "start": "Start, then check",
    "check": "Check only",
    "restart": "Restart, then check",
    "stop": "Stop",
}

with DAG(
    "run_fraud_inference",
    description="Start, check and stop the Spark job that decides every transaction",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    default_args=task_defaults(),
    tags=["fraud", "inference"],
    params={
        "action": choice_param("start", ACTIONS, "Action", "What to do with the stream."),
        "trigger_seconds": Param(
            None,
            type=["null", "number"],
            minimum=0,
            maximum=3600,
            title="Trigger interval (seconds)",
            description="Time between batches, from the next start on. Empty: as configured.",
        ),
        "max_offsets_per_trigger": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            title="Batch limit (records)",
            description="Most records of a batch, from the next start on. Empty: as configured.",
        ),
    },
) as dag:
    action = StreamActionOperator(
        task_id="apply_action", action="{{ params.action }}", then="service_runs"
    )
    running = StreamRunningOperator(task_id="service_runs")
    progress = StreamProgressOperator(task_id="decisions_advance")
    champion = ChampionDecidesOperator(task_id="champion_decides")
    action >> running >> [progress, champion]
