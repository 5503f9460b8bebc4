"""A bundle: everything that decides, in one folder of native formats and JSON, and its own test.

bundle.json    arm, calibrator, policy, features, training manifest, reasons, metrics
golden.json    feature rows with the probabilities that they must give
predictor.json, model.*    the fitted model in its own format
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.errors import BundleError, FraudError, RegistryError
from models.calibration import Calibrator, calibrator_from
from models.policy import Decided, Policy, policy_from
from models.predictors import Predictor, load_predictor

Floats = NDArray[np.float64]
BUNDLE_FILE = "bundle.json"
GOLDEN_FILE = "golden.json"
GOLDEN_ROWS = 64
TOLERANCE = 1e-7
_REQUIRED = (
    "arm",
    "feature_hash",
    "feature_names",
    "calibrator",
    "policy",
    "policy_version",
    "snapshot_ranges",
    "training",
    "reasons",
    "metrics",
)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A model version ready to score; `version` is the registry's, "unregistered" before."""

    version: str
    feature_hash: str
    feature_names: tuple[str, ...]
    snapshot_ranges: Mapping[int, int]
    policy: Policy
    calibrator: Calibrator
    predictor: Predictor
    details: Mapping[str, Any] = field(repr=False)
    golden: Mapping[str, Any] = field(repr=False)

    @property
    def policy_version(self) -> str:
        """Digest of the policy, as decisions carry it."""
        return self.policy.version

    @property
    def reasons(self) -> Mapping[str, str]:
        """Feature name to the reason code that people read."""
        reasons: Mapping[str, str] = self.details["reasons"]
        return reasons

    def raw(self, values: Floats) -> Floats:
        """Uncalibrated margin (log-odds) per row; ranks as the model does."""
        return self.predictor.margin(values)

    def score(self, values: Floats) -> Floats:
        """Calibrated fraud probability per row of features, NaN where missing."""
        return self.calibrator.probability(self.predictor.margin(values))

    def decide(
        self, score: Floats, amount_minor: NDArray[np.int64], transaction_ids: Sequence[str]
    ) -> Decided:
        """Decisions by expected money, with the control group let through."""
        return self.policy.decide(score, amount_minor, transaction_ids)

    def explained(self, values: Floats) -> tuple[Floats, Floats]:
        """The score, and cheap path contributions to the margin, rows x features."""
        margin, contributions = self.predictor.explained(values)
        return self.calibrator.probability(margin), contributions

    def exact_contributions(self, values: Floats) -> Floats:
        """Exact Shapley contributions to the margin, rows x features."""
        return self.predictor.exact_contributions(values)

    def self_test(self) -> None:
        """Score the golden rows again, explain and decide one: a first batch waits for nothing.

        Raises:
            BundleError: they differ: another library version, or a damaged file.
        """
        values = np.array(self.golden["values"], dtype=np.float64)
        expected = np.array(self.golden["scores"], dtype=np.float64)
        worst = float(np.abs(self.score(values) - expected).max())
        if not worst <= TOLERANCE:
            raise BundleError(
                "golden rows score differently than at training",
                value=worst,
                remedy="Install the locked library versions, or train again",
            )
        score, cheap = self.explained(values[:1])
        self.decide(score, np.zeros(1, dtype=np.int64), ("",))
        shares = (cheap, self.exact_contributions(values[:1]))
        for found in shares:
            if not np.isfinite(found).all():
                raise BundleError("a golden row has no finite contributions", remedy="Train again")


def golden_of(bundle_score: Floats, values: Floats) -> dict[str, Any]:
    """Golden rows as JSON; NaN becomes null."""
    listed = [[None if v != v else v for v in row] for row in values.tolist()]
    return {"values": listed, "scores": bundle_score.tolist()}


def save_bundle(
    folder: Path,
    *,
    predictor: Predictor,
    calibrator: Calibrator,
    policy: Policy,
    details: Mapping[str, Any],
    golden_values: Floats,
) -> None:
    """Write all files of a bundle into an existing folder."""
    predictor.save(folder)
    tree = dict(details) | {
        "calibrator": calibrator.to_tree(),
        "policy": policy.to_tree(),
        "policy_version": policy.version,
    }
    (folder / BUNDLE_FILE).write_text(json.dumps(tree, sort_keys=True, indent=1))
    scores = calibrator.probability(predictor.margin(golden_values))
    (folder / GOLDEN_FILE).write_text(json.dumps(golden_of(scores, golden_values)))


def open_bundle(folder: Path, version: str, *, feature_hash: str | None = None) -> Bundle:
    """Read and test a bundle; `feature_hash` is that of the features that will be given to it.

    Raises:
        BundleError: a file or field is missing, made for other features, or fails its own test.
        RegistryError: see `blamed`.
    """
    with blamed(version):
        tree, golden = _json(folder / BUNDLE_FILE), _json(folder / GOLDEN_FILE)
        _refuse_incomplete(tree, golden, version)
        _refuse_other_features(tree["feature_hash"], feature_hash, version)
        bundle = _assembled(folder, version, tree, golden)
        bundle.self_test()
        return bundle


def read_ranges(folder: Path, version: str) -> dict[int, int]:
    """Partition to the offset after the training snapshot, whether or not the model can be used.

    Raises:
        BundleError: the bundle does not tell.
        RegistryError: see `blamed`.
    """
    with blamed(version):
        ranges = _ranges(_json(folder / BUNDLE_FILE))
    if not ranges:
        raise BundleError(f"model version {version} does not name its snapshot", remedy=_REPLACE)
    return ranges


_REPLACE = "Promote another version, or train again"


@contextmanager
def blamed(version: str) -> Iterator[None]:
    """Tell a version that is damaged, and stays so, from trouble of this machine, which may pass.

    Raises:
        BundleError: the version's files are not what the training wrote.
        RegistryError: this machine lacks memory, open files or a library.
    """
    try:
        yield
    except FraudError:
        raise
    except Exception as error:  # whatever a library says of a file that it did not write so
        said = f"{type(error).__name__}: {_first_line(error)}"
        is_ours = isinstance(error, MemoryError | ImportError | OSError)
        if is_ours and not isinstance(error, FileNotFoundError):
            raise RegistryError(
                f"model version {version} cannot be opened on this machine: {said}",
                remedy="Look at its memory, disk, open files and installed libraries",
            ) from error
        raise BundleError(f"model version {version} is damaged: {said}", remedy=_REPLACE) from error


def _assembled(folder: Path, version: str, tree: dict[str, Any], golden: dict[str, Any]) -> Bundle:
    return Bundle(
        version=version,
        feature_hash=tree["feature_hash"],
        feature_names=tuple(tree["feature_names"]),
        snapshot_ranges=_ranges(tree),
        policy=policy_from(tree["policy"]),
        calibrator=calibrator_from(tree["calibrator"]),
        predictor=load_predictor(folder),
        details=tree,
        golden=golden,
    )


def _ranges(tree: Mapping[str, Any]) -> dict[int, int]:
    return {int(p): int(end) for p, end in tree["snapshot_ranges"].items()}


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")


def _json(path: Path) -> dict[str, Any]:
    tree = json.loads(path.read_text())
    if not isinstance(tree, dict):
        raise BundleError(f"the bundle's {path.name} is no JSON object", remedy=_REPLACE)
    return tree


def _refuse_other_features(made_for: str, given: str | None, version: str) -> None:
    if given is not None and made_for != given:
        raise BundleError(
            f"model version {version} was made for feature set {made_for}",
            value=given,
            remedy="Run the code of that feature set, or train a model for this one",
        )


def _refuse_incomplete(tree: dict[str, Any], golden: dict[str, Any], version: str) -> None:
    lacking = [name for name in _REQUIRED if not tree.get(name)]
    lacking += [f"golden {name}" for name in ("values", "scores") if not golden.get(name)]
    if lacking:
        raise BundleError(
            f"model version {version} is incomplete: it lacks {', '.join(lacking)}",
            remedy="Register only what the training pipeline made",
        )
