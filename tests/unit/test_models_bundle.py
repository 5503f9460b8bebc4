"""A bundle is whole or refused: fields, golden rows, features, signature."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, TEMPORARILY_UNAVAILABLE
from models_world import make_table, policy_settings, settings_with
from requests import HTTPError, Response

from contracts.errors import BundleError, RegistryError
from models import forest_family, lightgbm_family, neural_family
from models.arms import make_arm
from models.bundle import (
    _REQUIRED,
    BUNDLE_FILE,
    GOLDEN_FILE,
    blamed,
    open_bundle,
    read_ranges,
    save_bundle,
)
from models.fit import fit_arm
from models.folds import Fold
from models.registry import is_absence, refuse_unsigned
from models.selection import bundle_details, fit_decider, golden_values
from models.trainers import Sample

TABLE = make_table()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a complete bundle."""
    folder = tmp_path_factory.mktemp("bundle")
    arm = make_arm("logistic_regression", settings_with(folder).learning)
    train, stop = (
        Sample(rows.values, rows.target, rows.weight)
        for rows in (TABLE.of(Fold.TRAIN), TABLE.of(Fold.SELECT))
    )
    fitted = fit_arm(arm, train, stop, categorical=np.array([3]), seed=1)
    decider = fit_decider(fitted.predictor, TABLE.of(Fold.CALIBRATE), policy_settings())
    save_bundle(
        folder,
        predictor=decider.predictor,
        calibrator=decider.calibration.calibrator,
        policy=decider.policy,
        details=bundle_details(TABLE, arm.to_tree(), {"ap": 0.9}, "transactions"),
        golden_values=golden_values(TABLE, 16),
    )
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(whole, tmp_path / "bundle"))


def change(path: Path, **values: object) -> None:
    """Replace fields of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_whole_bundle_opens_and_tests_itself(folder: Path) -> None:
    """Loaded again it scores its golden rows as at training, and keeps what it was made for."""
    bundle = open_bundle(folder, "3", feature_hash="testhash")
    assert bundle.version == "3"
    assert bundle.snapshot_ranges == {0: len(TABLE.rows)}


@pytest.mark.parametrize("name", _REQUIRED)
def test_a_missing_field_is_named(folder: Path, name: str) -> None:
    """Feature hash, names, metrics, policy and the rest: without one there is no bundle."""
    change(folder / BUNDLE_FILE, **{name: None})
    with pytest.raises(BundleError, match=name):
        open_bundle(folder, "3")


def test_a_bundle_without_golden_rows_is_refused(folder: Path) -> None:
    """Nobody could tell whether it still scores as it did."""
    change(folder / GOLDEN_FILE, values=[])
    with pytest.raises(BundleError, match="golden"):
        open_bundle(folder, "3")


def test_a_model_that_scores_differently_is_refused(folder: Path) -> None:
    """Another weight than at training shows in the golden rows."""
    weights = json.loads((folder / "predictor.json").read_text())["weights"]
    change(folder / "predictor.json", weights=[w + 0.5 for w in weights])
    with pytest.raises(BundleError, match="golden rows"):
        open_bundle(folder, "3")


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\x00" * 100, b'{"family": "xgboost"}'])
@pytest.mark.parametrize("name", ["predictor.json", BUNDLE_FILE, GOLDEN_FILE])
def test_whatever_is_damaged_is_the_projects_own_error(
    folder: Path, name: str, damage: bytes
) -> None:
    """No library's error about a truncated, empty or foreign file ends the stream."""
    (folder / name).write_bytes(damage)
    with pytest.raises(BundleError):
        open_bundle(folder, "3")


def test_a_damaged_model_file_is_the_projects_own_error(folder: Path) -> None:
    """A header that is well beside a model file cut short."""
    (folder / "predictor.json").write_text('{"family": "xgboost", "prepare": null}')
    (folder / "model.ubj").write_bytes(b"{L\x00\x00")
    with pytest.raises(BundleError, match=r"version 3 is damaged: .+"):
        open_bundle(folder, "3")


@pytest.mark.parametrize(
    "trouble", [MemoryError(), ImportError("no xgboost"), OSError(24, "files")]
)
def test_trouble_of_this_machine_is_not_the_bundles(trouble: Exception) -> None:
    """It may pass, so the version is not called damaged, and is tried again."""
    with (
        pytest.raises(RegistryError, match="cannot be opened on this machine") as caught,
        blamed("3"),
    ):
        raise trouble
    assert not isinstance(caught.value, BundleError)


@pytest.mark.parametrize(
    ("family", "name"),
    [
        ("xgboost", "model.ubj"),
        ("lightgbm", lightgbm_family.MODEL_FILE),
        ("random_forest", forest_family.MODEL_FILE),
        ("neural_net", neural_family.MODEL_FILE),
    ],
)
def test_a_file_that_this_machine_cannot_read_is_not_damaged(
    folder: Path, family: str, name: str
) -> None:
    """Too many open files, a failing disk: no library may take it for a fault of the model."""
    header = json.loads((folder / "predictor.json").read_text())
    change(folder / "predictor.json", family=family, prepare=header["prepare"])
    (folder / name).symlink_to(folder / name)  # reading it is an OSError
    with pytest.raises(RegistryError, match="cannot be opened on this machine") as caught:
        open_bundle(folder, "3")
    assert not isinstance(caught.value, BundleError)


def test_a_file_that_is_not_there_is_the_bundles_trouble(folder: Path) -> None:
    """Every version has all its files, or stays unusable."""
    (folder / "predictor.json").unlink()
    with pytest.raises(BundleError, match="damaged"):
        open_bundle(folder, "3")


def test_a_damaged_model_still_tells_where_its_training_ended(folder: Path) -> None:
    """A stream that begins under it skips nothing."""
    (folder / "predictor.json").write_bytes(b"")
    assert read_ranges(folder, "3") == {0: len(TABLE.rows)}


@pytest.mark.parametrize("ranges", [None, {}, [], {"0": "end"}])
def test_a_snapshot_that_is_not_named_is_refused(folder: Path, ranges: object) -> None:
    """Nothing is made up for it."""
    change(folder / BUNDLE_FILE, snapshot_ranges=ranges)
    with pytest.raises(BundleError, match="version 3"):
        read_ranges(folder, "3")


def test_other_features_are_refused(folder: Path) -> None:
    """The hash of the features that will be given must be the model's."""
    with pytest.raises(BundleError, match="feature set"):
        open_bundle(folder, "3", feature_hash="another")


@pytest.mark.parametrize(
    "text", [None, "", "flavors: {}\n", "signature: null\n", "a: [", "- 1\n", "cut sho"]
)
def test_a_version_without_signature_is_refused(tmp_path: Path, text: str | None) -> None:
    """MLflow's description must be there and say what goes in and comes out."""
    if text is not None:
        (tmp_path / "MLmodel").write_text(text)
    with pytest.raises(BundleError, match="signature"):
        refuse_unsigned(tmp_path, "3")


def answered(status: int) -> HTTPError:
    """What the file store's client raises."""
    response = Response()
    response.status_code = status
    return HTTPError("refused", response=response)


@pytest.mark.parametrize(
    ("error", "is_final"),
    [
        (MlflowException("gone", error_code=RESOURCE_DOES_NOT_EXIST), True),
        (answered(404), True),
        (MlflowException("busy", error_code=TEMPORARILY_UNAVAILABLE), False),
        (answered(503), False),
        (OSError("connection reset"), False),
    ],
)
def test_a_version_that_is_gone_is_told_from_a_registry_that_is_away(
    error: Exception, is_final: bool
) -> None:
    """Waiting mends the second alone."""
    assert is_absence(error) is is_final
