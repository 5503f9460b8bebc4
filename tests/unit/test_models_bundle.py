"""A bundle is whole or refused: fields, golden rows, features, signature."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from models_world import make_table, policy_settings, settings_with

from contracts.errors import BundleError
from models.arms import make_arm
from models.bundle import _REQUIRED, BUNDLE_FILE, GOLDEN_FILE, open_bundle, save_bundle
from models.fit import fit_arm
from models.folds import Fold
from models.registry import refuse_unsigned
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


@pytest.mark.parametrize("damage", [b"", b"{", b"\x00" * 100, b'{"family": "xgboost"}'])
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


def test_other_features_are_refused(folder: Path) -> None:
    """The hash of the features that will be given must be the model's."""
    with pytest.raises(BundleError, match="feature set"):
        open_bundle(folder, "3", feature_hash="another")


@pytest.mark.parametrize("text", [None, "flavors: {}\n", "signature: null\n"])
def test_a_version_without_signature_is_refused(tmp_path: Path, text: str | None) -> None:
    """MLflow's description must be there and say what goes in and comes out."""
    if text is not None:
        (tmp_path / "MLmodel").write_text(text)
    with pytest.raises(BundleError, match="signature"):
        refuse_unsigned(tmp_path, "3")
