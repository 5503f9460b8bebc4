"""### Train, compare and promote a fraud model

**snapshot** copies what Kafka holds now to the object store. **build_training_table** replays the
features over it and joins the labels that were known. **train_arm** runs once per arm, on the same
folds, each a child run in MLflow. **select_and_register** picks an arm on validation, calibrates
it, tests it once and registers it as `challenger`. **gate** compares it with the champion; only a
version that passes is promoted, by itself or after a person approved.

Every task may be cleared and run again: it finds what it already made. A server that does not
answer is retried; anything else fails at once and says why in its log.
"""

from airflow.sdk import DAG, AssetOrTimeSchedule, CronTriggerTimetable, TriggerRule

from plugins.assets import MATURED_LABELS
from plugins.forms import arms_param, choice_param, days_param, text_param, whole_param
from plugins.operators.approval import promotion_approval
from plugins.operators.learning import (
    SelectAndRegisterOperator,
    TrainArmOperator,
    TrainingTableOperator,
)
from plugins.operators.registry import GateOperator, PromoteOperator
from plugins.operators.snapshot import KafkaSnapshotOperator
from plugins.retries import task_defaults

MONDAYS_AT_THREE = CronTriggerTimetable("0 3 * * 1", timezone="UTC")
PROMOTION = {
    "automatic": "Automatic, when the gate passes",
    "ask": "Ask a person, when the gate passes",
    "never": "Never: only register and report",
}

with DAG(
    "train_fraud_detection_model",
    description="Snapshot, features, arms, calibration, gate and promotion",
    doc_md=__doc__,
    schedule=AssetOrTimeSchedule(timetable=MONDAYS_AT_THREE, assets=[MATURED_LABELS]),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    render_template_as_native_obj=True,
    default_args=task_defaults(),
    tags=["fraud", "learning"],
    params={
        "arms": arms_param(),
        "promotion": choice_param(
            "automatic", PROMOTION, "Promotion", "What happens to a version that passes the gate."
        ),
        "maturity_days": days_param(
            "Maturity (days)", "Younger transactions have no trusted label."
        ),
        "train_days": days_param("Training (days)", "Length of the training fold."),
        "validation_days": days_param("Validation (days)", "Length of the validation fold.", 2),
        "test_days": days_param("Test (days)", "Length of the test fold."),
        "tuning_trials": whole_param(
            "Tuning trials", "Settings that the tuner tries per arm; 0 tries none.", 0, 500
        ),
        "prequential_folds": whole_param(
            "Prequential folds", "4 compares the arms on three earlier folds as well.", 1, 4
        ),
        "reference": text_param(
            "Snapshot reference",
            "An earlier run's id trains again from its snapshot. Empty: a new snapshot.",
        ),
    },
) as dag:
    snapshot = KafkaSnapshotOperator(
        task_id="snapshot", reference="{{ params.reference or run_id }}"
    )
    table = TrainingTableOperator(
        task_id="build_training_table", manifest_uri=snapshot.output, arms="{{ params.arms }}"
    )
    trained = TrainArmOperator.partial(
        task_id="train_arm",
        map_index_template="{{ task.job['arm']['name'] }}",
        max_active_tis_per_dagrun=2,
    ).expand(job=table.output)
    registered = SelectAndRegisterOperator(task_id="select_and_register", trained=trained.output)
    gate = GateOperator(
        task_id="gate",
        registered=registered.output,
        promotion="{{ params.promotion }}",
        branches={"automatic": "promote", "ask": "approve_promotion"},
    )
    approval = promotion_approval(
        subject="Promote version {{ ti.xcom_pull('select_and_register')['version'] }} to champion?",
        body="{{ ti.xcom_pull('gate')['report'] }}",
    )
    promotion = PromoteOperator(
        task_id="promote",
        version="{{ ti.xcom_pull('select_and_register')['version'] }}",
        why="The gate passed ({{ params.promotion }})",
        trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS,
    )
    gate >> [approval, promotion]
    approval >> promotion
