"""What the registry holds, read by plain requests: MLflow's own client takes seconds to import."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from contracts.settings import Settings
from models.tracking import request_json, tracking_client

API = "/api/2.0/mlflow"


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """The model's tags, and which version each alias names."""

    tags: Mapping[str, str]
    aliases: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """A version as the registry lists it; `created_ms` counts from 1970."""

    version: str
    created_ms: int
    tags: Mapping[str, str]


def registered_model(settings: Settings) -> RegisteredModel | None:
    """The model with its aliases, None before the first registration.

    Raises:
        RegistryError: the registry does not answer.
    """
    uri, name = settings.mlflow.tracking_uri, settings.mlflow.model_name
    if not uri.startswith("http"):
        return _model_by_client(settings)
    body = request_json(f"{uri}{API}/registered-models/get?{urlencode({'name': name})}")
    if body is None:
        return None
    tree = json.loads(body)["registered_model"]
    aliases = {one["alias"]: str(one["version"]) for one in tree.get("aliases", [])}
    return RegisteredModel(_tags(tree), aliases)


def model_versions(settings: Settings) -> list[VersionRecord]:
    """Every version, newest first.

    Raises:
        RegistryError: the registry does not answer.
    """
    uri, wanted = settings.mlflow.tracking_uri, f"name = '{settings.mlflow.model_name}'"
    if uri.startswith("http"):
        query = urlencode({"filter": wanted, "max_results": 10_000})
        body = request_json(f"{uri}{API}/model-versions/search?{query}") or b"{}"
        listed: Iterable[VersionRecord] = map(_version, json.loads(body).get("model_versions", []))
    else:
        found = tracking_client(settings.mlflow).search_model_versions(wanted)
        listed = [
            VersionRecord(str(one.version), int(one.creation_timestamp), dict(one.tags))
            for one in found
        ]
    return sorted(listed, key=lambda record: -int(record.version))


def _version(tree: Mapping[str, Any]) -> VersionRecord:
    return VersionRecord(str(tree["version"]), int(tree["creation_timestamp"]), _tags(tree))


def _tags(tree: Mapping[str, Any]) -> dict[str, str]:
    return {one["key"]: one.get("value", "") for one in tree.get("tags", [])}


def _model_by_client(settings: Settings) -> RegisteredModel | None:
    from mlflow.exceptions import MlflowException

    try:
        found = tracking_client(settings.mlflow).get_registered_model(settings.mlflow.model_name)
    except MlflowException:
        return None
    aliases = {alias: str(version) for alias, version in found.aliases.items()}
    return RegisteredModel(dict(found.tags), aliases)
