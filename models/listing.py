"""Model versions as people ask for them: aliases, tags, test figures."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from contracts.errors import RegistryError
from contracts.settings import Settings
from models.promotion import notice_moves
from models.registry import resolve
from models.tracking import tracking_client

TEST_PREFIX = "test_"


@dataclass(frozen=True, slots=True)
class VersionSummary:
    """A version with its tags, and the figures of its training run's test."""

    version: str
    aliases: tuple[str, ...]
    created: str
    tags: Mapping[str, str]
    figures: Mapping[str, float]

    @property
    def arm(self) -> str:
        """The chosen arm's name."""
        return self.tags.get("arm", "-")


def list_versions(settings: Settings) -> list[VersionSummary]:
    """Every version, newest first, without figures.

    Raises:
        RegistryError: the registry does not answer.
    """
    client, name = tracking_client(settings.mlflow), settings.mlflow.model_name
    notice_moves(settings, client)
    aliases = _aliases(client, name)
    found = client.search_model_versions(f"name = '{name}'")
    return [
        _summary(version, aliases, {}) for version in sorted(found, key=lambda v: -int(v.version))
    ]


def describe_version(settings: Settings, version_or_alias: str) -> VersionSummary:
    """One version with the figures of its test.

    Raises:
        RegistryError: there is no such version, or the registry does not answer.
    """
    from mlflow.exceptions import MlflowException

    number = resolve(settings, version_or_alias)
    client, name = tracking_client(settings.mlflow), settings.mlflow.model_name
    try:
        version = client.get_model_version(name, number)
        metrics = client.get_run(version.run_id).data.metrics
    except MlflowException as error:
        raise RegistryError("there is no such model version", value=number) from error
    figures = {
        key.removeprefix(TEST_PREFIX): value
        for key, value in metrics.items()
        if key.startswith(TEST_PREFIX)
    }
    return _summary(version, _aliases(client, name), figures)


def _aliases(client: Any, name: str) -> dict[str, list[str]]:
    """Version to aliases; the search for versions leaves them out."""
    from mlflow.exceptions import MlflowException

    try:
        pairs: Mapping[str, str] = client.get_registered_model(name).aliases
    except MlflowException:
        return {}
    by_version: dict[str, list[str]] = {}
    for alias, version in sorted(pairs.items()):
        by_version.setdefault(str(version), []).append(alias)
    return by_version


def _summary(
    version: Any, aliases: Mapping[str, list[str]], figures: Mapping[str, float]
) -> VersionSummary:
    made = datetime.fromtimestamp(version.creation_timestamp / 1000, tz=UTC)
    number = str(version.version)
    return VersionSummary(
        version=number,
        aliases=tuple(aliases.get(number, ())),
        created=made.isoformat(timespec="minutes"),
        tags=dict(version.tags),
        figures=figures,
    )
