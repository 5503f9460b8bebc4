"""The model registry: bundles as versions, aliases, and who moved them when and why."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from contracts.errors import BundleError, RegistryError
from contracts.settings import Settings
from models.bundle_cache import bundle_digest, is_digest, machine_cache
from models.tracking import request_json, tracking_client

if TYPE_CHECKING:
    from models.bundle import Bundle

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous_champion"
BUNDLE_ARTIFACT = "bundle"
DIGEST_TAG = "fraud.bundle_sha256"


def champion_version(settings: Settings) -> str | None:
    """The version that `champion` points to now, None when there is none; one small request.

    Raises:
        RegistryError: the registry does not answer.
    """
    return alias_version(settings, CHAMPION)


def alias_version(settings: Settings, alias: str) -> str | None:
    """The version behind an alias, None when there is none.

    Raises:
        RegistryError: the registry does not answer.
    """
    uri, name = settings.mlflow.tracking_uri, settings.mlflow.model_name
    if not uri.startswith("http"):
        return client_alias(tracking_client(settings.mlflow), name, alias)
    query = urlencode({"name": name, "alias": alias})
    body = _alias_answer(f"{uri}/api/2.0/mlflow/registered-models/alias?{query}")
    return None if body is None else str(json.loads(body)["model_version"]["version"])


def _alias_answer(url: str) -> bytes | None:
    """MLflow answers 400 where an alias is missing, 404 where the model is."""
    try:
        return request_json(url)
    except RegistryError as error:
        if "refused: 400" in error.cause:
            return None
        raise


def client_alias(client: Any, name: str, alias: str) -> str | None:
    """The same through MLflow's client."""
    from mlflow.exceptions import MlflowException

    try:
        return str(client.get_model_version_by_alias(name, alias).version)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise RegistryError(f"the registry refused: {error}", value=alias) from error


def resolve(settings: Settings, version_or_alias: str) -> str:
    """A version number from a number or an alias.

    Raises:
        RegistryError: nothing has that alias.
    """
    if version_or_alias.isdigit():
        return version_or_alias
    version = alias_version(settings, version_or_alias)
    if version is None:
        raise RegistryError(
            "no model version has that alias",
            value=version_or_alias,
            remedy="Train and promote one: `airflow dags trigger train_fraud_detection_model`",
        )
    return version


def load_bundle(
    settings: Settings,
    version_or_alias: str,
    *,
    feature_hash: str | None = None,
    is_downloaded: bool = False,
) -> "Bundle":
    """Get, read and test a model version; for the platform's features unless told otherwise.

    `is_downloaded`: from where versions are stored, though this machine keeps a copy.

    Raises:
        RegistryError: the registry does not answer, or this machine cannot open anything now.
        BundleError: there is no such version, it is damaged, or made for other features.
    """
    from models.bundle import open_bundle  # the model libraries: seconds that few callers need

    version = resolve(settings, version_or_alias)
    expected = feature_hash or _platform_hash()
    with _fetched(settings, version, is_downloaded=is_downloaded) as folder:
        return open_bundle(folder, version, feature_hash=expected)


def snapshot_ranges(settings: Settings, version: str) -> Mapping[int, int]:
    """Partition to the offset after a version's training snapshot, though the model be unusable.

    Raises:
        RegistryError: the registry does not answer, or this machine cannot open anything now.
        BundleError: there is no such version, or it does not tell.
    """
    from models.bundle import read_ranges

    with _fetched(settings, version) as folder:
        return read_ranges(folder, version)


@contextmanager
def _fetched(settings: Settings, version: str, *, is_downloaded: bool = False) -> Iterator[Path]:
    """A version's bundle in a folder that goes away with the block; the machine keeps another."""
    from models.bundle import blamed

    with blamed(version), tempfile.TemporaryDirectory(prefix="fraud-bundle-") as scratch:
        digest = registered_digest(settings, version)
        fetch = partial(fetch_version, settings, version)
        if digest is None:  # registered before versions named it
            yield fetch(Path(scratch))
        else:
            cache = machine_cache()
            yield cache.fetched(digest, Path(scratch), fetch, is_downloaded=is_downloaded)


def registered_digest(settings: Settings, version: str) -> str | None:
    """What the registry says of a version's content, None where it says nothing; a small request.

    Raises:
        RegistryError: the registry does not answer.
        BundleError: there is no such version, or what it says is no digest.
    """
    uri, name = settings.mlflow.tracking_uri, settings.mlflow.model_name
    if uri.startswith("http"):
        found = _asked_digest(uri, name, version)
    else:
        found = _client_digest(tracking_client(settings.mlflow), name, version)
    if found is not None and not is_digest(found):  # it becomes a folder's name
        raise BundleError(
            f"the tag {DIGEST_TAG} of model version {version} is no SHA-256",
            value=found,
            remedy="Promote another version, or train again",
        )
    return found


def _asked_digest(uri: str, name: str, version: str) -> str | None:
    query = urlencode({"name": name, "version": version})
    body = request_json(f"{uri}/api/2.0/mlflow/model-versions/get?{query}")
    if body is None:
        raise _missing(version)
    tags = json.loads(body)["model_version"].get("tags", ())
    return next((str(tag.get("value", "")) for tag in tags if tag["key"] == DIGEST_TAG), None)


def _client_digest(client: Any, name: str, version: str) -> str | None:
    from mlflow.exceptions import MlflowException

    try:
        found: str | None = client.get_model_version(name, version).tags.get(DIGEST_TAG)
    except MlflowException as error:
        if is_absence(error):
            raise _missing(version) from error
        raise RegistryError(f"the registry refused: {error}", value=version) from error
    return found


def _missing(version: str) -> BundleError:
    return BundleError(
        f"model version {version} is not in the registry", remedy="Run `fraud models list`"
    )


def _platform_hash() -> str:
    from features.definition import FEATURE_SET

    return FEATURE_SET.hash


def fetch_version(settings: Settings, version: str, target: Path) -> Path:
    """Download a version's files into a folder that is made; the one in it that holds the bundle.

    Raises:
        RegistryError: its files are out of reach now.
        BundleError: there is no such version, or it has no signature.
    """
    tracking_client(settings.mlflow)
    from mlflow.artifacts import download_artifacts

    target.mkdir(exist_ok=True)
    name = settings.mlflow.model_name
    try:
        where = download_artifacts(f"models:/{name}/{version}", dst_path=str(target))
    except Exception as error:  # its client lets through what many libraries raise
        failure = BundleError if is_absence(error) else RegistryError
        raise failure(
            f"model version {version} cannot be fetched: {error}", remedy="Run `fraud models list`"
        ) from error
    refuse_unsigned(Path(where), version)
    return next((p.parent for p in Path(where).rglob("bundle.json")), Path(where))


def is_absence(error: Exception) -> bool:
    """Whether the registry, or its file store, answered that there is no such thing."""
    if getattr(error, "error_code", None) == "RESOURCE_DOES_NOT_EXIST":
        return True
    return getattr(getattr(error, "response", None), "status_code", None) == 404


def refuse_unsigned(folder: Path, version: str) -> None:
    """A version without MLflow's description, or without the signature in it, was not made here.

    Raises:
        BundleError: there is none.
    """
    import yaml

    try:
        tree = yaml.safe_load((folder / "MLmodel").read_text())
    except (FileNotFoundError, ValueError, yaml.YAMLError):
        tree = None
    if not isinstance(tree, dict) or not tree.get("signature"):
        raise BundleError(
            f"model version {version} has no signature that can be read",
            remedy="Register only what the training pipeline made",
        )


def register_bundle(
    settings: Settings, client: Any, run_id: str, folder: Path, tags: Mapping[str, str]
) -> str:
    """Upload a bundle to its run, then make one version of it; the version a retry finds again.

    Raises:
        RegistryError: MLflow refuses; then there is no version.
    """
    from mlflow.exceptions import MlflowException

    name = settings.mlflow.model_name
    known = version_of_run(client, name, run_id)
    if known is not None:
        return known
    try:
        _ensure_model(client, name)
        model = _log_bundle(run_id, folder)
        named = dict(tags) | {DIGEST_TAG: bundle_digest(folder)}
        version = client.create_model_version(
            name, model.model_uri, run_id, tags=named, model_id=model.model_id
        )
    except MlflowException as error:
        raise RegistryError(f"the bundle could not be registered: {error}") from error
    return str(version.version)


def version_of_run(client: Any, name: str, run_id: str) -> str | None:
    """The ready version that a run registered."""
    found = client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")
    ready = [version for version in found if version.status == "READY"]
    return str(ready[0].version) if ready else None


def _ensure_model(client: Any, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.get_registered_model(name)
    except MlflowException:
        client.create_registered_model(
            name, description="Fraud detection bundles: model, calibrator, policy, golden rows"
        )


def _log_bundle(run_id: str, folder: Path) -> Any:
    """An MLflow model without pickles: a loader module and a folder of native files."""
    from mlflow.models import infer_signature

    import mlflow

    golden = json.loads((folder / "golden.json").read_text())
    names = json.loads((folder / "bundle.json").read_text())["feature_names"]
    import numpy as np
    import pandas as pd

    sample = pd.DataFrame(np.array(golden["values"], dtype=float), columns=names)
    signature = infer_signature(sample, np.array(golden["scores"]))
    with mlflow.start_run(run_id=run_id):
        return mlflow.pyfunc.log_model(
            name=BUNDLE_ARTIFACT,
            loader_module="models.serving_flavour",
            data_path=str(folder),
            signature=signature,
            pip_requirements=["fraud-detection-platform"],
        )
