"""From snapshot to champion on a local MLflow store: each step again safe, nothing half-done."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from models_history import make_log
from models_world import settings_with

from contracts.errors import BundleError, RegistryError, TrainingError
from contracts.settings import Settings
from models import steps
from models.objects import open_objects
from models.promotion import history, promote, rollback
from models.registry import CHALLENGER, alias_version, champion_version, load_bundle
from models.snapshot import take_snapshot
from models.table import load_table
from models.tracking import tracking_client

pytestmark = pytest.mark.integration

LEARNING = {"maturity_days": 3, "test_days": 10, "validation_days": 10, "train_days": 30}


@dataclass(frozen=True, slots=True)
class Trained:
    """A training that ran through, with two registered versions."""

    settings: Settings
    table_uri: str
    runs: list[str]
    parent: str
    version: str
    second: str


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    """Snapshot, table, two arms and registration, then the same again under another reference."""
    folder = tmp_path_factory.mktemp("pipeline")
    settings = settings_with(folder, **LEARNING)
    client = tracking_client(settings.mlflow)
    client.create_experiment(settings.mlflow.experiment, (folder / "artifacts").as_uri())
    manifest = take_snapshot(settings, reference="run", log=make_log(settings.kafka))
    table_uri = steps.build_training_table(settings, manifest.uri)
    versions, runs, parents = [], [], []
    for reference in ("first", "second"):
        parent = steps.start_training_run(settings, table_uri, reference)
        plan = steps.plan_arms(settings, ["logistic_regression", "xgboost"])
        runs = [steps.train_arm(settings, table_uri, arm, parent)["run_id"] for arm in plan]
        versions.append(steps.select_and_register(settings, table_uri, runs, parent))
        parents.append(parent)
    yield Trained(settings, table_uri, runs, parents[1], versions[0], versions[1])


def moment() -> datetime:
    """A clock that stands still but for its microseconds."""
    return datetime.now(tz=UTC)


def test_training_twice_from_one_manifest_gives_identical_predictions(trained: Trained) -> None:
    """Two trainings from one snapshot: byte-identical scores, equal metrics and policy."""
    one, two = (load_bundle(trained.settings, v) for v in (trained.version, trained.second))
    table = load_table(open_objects(trained.settings.object_store), trained.table_uri)
    assert one.score(table.rows.values).tobytes() == two.score(table.rows.values).tobytes()
    assert one.details["metrics"] == two.details["metrics"]
    assert one.policy_version == two.policy_version


def test_a_retried_step_registers_nothing_twice(trained: Trained) -> None:
    """Clearing and running tasks again finds runs and version of the first time."""
    settings = trained.settings
    parent = steps.start_training_run(settings, trained.table_uri, "second")
    plan = steps.plan_arms(settings, ["logistic_regression", "xgboost"])
    runs = [steps.train_arm(settings, trained.table_uri, a, parent)["run_id"] for a in plan]
    version = steps.select_and_register(settings, trained.table_uri, runs, parent)
    assert (parent, runs, version) == (trained.parent, trained.runs, trained.second)


def test_the_newest_version_is_challenger_and_carries_its_data(trained: Trained) -> None:
    """A bundle knows its snapshot's end offsets; registration moves only `challenger`."""
    assert alias_version(trained.settings, CHALLENGER) == trained.second
    assert load_bundle(trained.settings, CHALLENGER).snapshot_ranges == {0: 9000}


def test_gate_and_promotion_keep_a_way_back(trained: Trained) -> None:
    """Pass against the rule tier, promote twice with one move, pass against oneself, roll back."""
    settings = trained.settings
    first = steps.run_gate(settings, trained.table_uri, trained.version)
    assert "rule tier" in first["report"]
    moved = promote(settings, trained.version, who="ann", why="better", clock=moment)
    again = promote(settings, trained.version, who="ann", why="better", clock=moment)
    assert (moved.changed, again.changed) == (True, False)
    second = steps.run_gate(settings, trained.table_uri, trained.second)
    assert second["champion"] == trained.version
    promote(settings, trained.second, who="bob", why="newer", clock=moment)
    back = rollback(settings, who="ann", why="complaints", clock=moment)
    assert champion_version(settings) == trained.version == back.version
    assert not rollback(settings, who="ann", why="complaints", clock=moment).changed
    told = [(move.action, move.version, move.who) for move in history(settings, moment)]
    assert told == [
        ("promoted", trained.version, "ann"),
        ("promoted", trained.second, "bob"),
        ("rolled_back", trained.version, "ann"),
    ]


def test_an_alias_moved_in_mlflow_is_noticed(trained: Trained) -> None:
    """Somebody moves the alias on MLflow's own page: the history tells of it."""
    settings = trained.settings
    client = tracking_client(settings.mlflow)
    name = settings.mlflow.model_name
    client.set_registered_model_alias(name, "champion", trained.second)
    last = history(settings, moment)[-1]
    assert (last.action, last.version) == ("moved_elsewhere", trained.second)
    assert len(history(settings, moment)) == len(history(settings, moment))


def test_a_rollback_goes_back_to_the_champion_before_one_set_in_mlflow(trained: Trained) -> None:
    """Nobody has noticed the move yet: still the version just before it decides again."""
    settings = trained.settings
    promote(settings, trained.second, who="ann", why="newer", clock=moment)
    client = tracking_client(settings.mlflow)
    client.set_registered_model_alias(settings.mlflow.model_name, "champion", trained.version)
    assert rollback(settings, who="ann", why="complaints", clock=moment).version == trained.second


def test_a_champion_of_other_features_is_refused(trained: Trained) -> None:
    """A scorer with another feature set gets an error, not scores."""
    with pytest.raises(BundleError, match="feature set"):
        load_bundle(trained.settings, trained.version, feature_hash="another")


def test_evaluating_the_champion_is_a_run_with_its_figures(trained: Trained) -> None:
    """The champion's figures on matured days after its own data become a run."""
    client = tracking_client(trained.settings.mlflow)
    client.set_registered_model_alias(
        trained.settings.mlflow.model_name, "champion", trained.version
    )
    found = steps.evaluate_champion(trained.settings, trained.table_uri)
    assert found["version"] == trained.version
    assert np.isfinite(found["metrics"]["ap"])


def test_tuned_arms_and_earlier_folds_are_told_in_the_run(trained: Trained) -> None:
    """Trials become an artifact; the arm is picked by the mean over its folds."""
    lengths = {"tuning_trials": 2, "prequential_folds": 2, "train_days": 18, "test_days": 7}
    learning = trained.settings.learning.model_copy(update=lengths)
    settings = trained.settings.model_copy(update={"learning": learning})
    manifest = load_table(open_objects(settings.object_store), trained.table_uri).description
    table_uri = steps.build_training_table(settings, manifest.manifest_uri)
    parent = steps.start_training_run(settings, table_uri, "tuned")
    arm = steps.plan_arms(settings, ["logistic_regression"])[0]
    found = steps.train_arm(settings, table_uri, arm, parent)
    folds = (found["metrics"]["select_ap"], found["metrics"]["select_ap_back_1"])
    assert found["metrics"]["selection_ap"] == pytest.approx(np.mean(folds))
    client = tracking_client(settings.mlflow)
    told = {artifact.path for artifact in client.list_artifacts(found["run_id"])}
    assert "tuning.json" in told


def test_a_failed_arm_leaves_a_failed_run_and_no_version(trained: Trained) -> None:
    """An arm that cannot learn fails its run; a later try makes a new one."""
    settings = trained.settings
    parent = steps.start_training_run(settings, trained.table_uri, "poor")
    arm = steps.plan_arms(settings, ["xgboost"])[0] | {"params": {"max_depth": -3}}
    with pytest.raises(Exception, match="max_depth"):
        steps.train_arm(settings, trained.table_uri, arm, parent)
    with pytest.raises(TrainingError, match="no arm"):
        steps.select_and_register(settings, trained.table_uri, [], parent)


def test_an_unreachable_registry_is_one_clear_error(tmp_path: Path) -> None:
    """A dead server is a RegistryError within seconds, with what to check."""
    settings = settings_with(tmp_path)
    dead = settings.mlflow.model_copy(update={"tracking_uri": "http://127.0.0.1:9"})
    with pytest.raises(RegistryError, match="MLFLOW_TRACKING_URI"):
        champion_version(settings.model_copy(update={"mlflow": dead}))


@pytest.mark.parametrize(
    ("labels", "message"), [(0, "0 known frauds"), (20, "known frauds"), (10**6, None)]
)
def test_too_few_labels_are_refused(tmp_path: Path, labels: int, message: str | None) -> None:
    """No labels yet, or a handful: a clear refusal, and no table."""
    settings = settings_with(tmp_path, **LEARNING)
    log = make_log(settings.kafka)
    log.topics[settings.kafka.labels_topic][:] = log.topics[settings.kafka.labels_topic][:labels]
    manifest = take_snapshot(settings, reference="r", log=log)
    if message is None:
        assert steps.build_training_table(settings, manifest.uri)
        return
    with pytest.raises(TrainingError, match=message):
        steps.build_training_table(settings, manifest.uri)


def test_an_empty_topic_is_refused(tmp_path: Path) -> None:
    """A snapshot without transactions says how to get some."""
    settings = settings_with(tmp_path, **LEARNING)
    manifest = take_snapshot(settings, reference="r", log=make_log(settings.kafka, count=0))
    with pytest.raises(TrainingError, match="no transactions"):
        steps.build_training_table(settings, manifest.uri)
