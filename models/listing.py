"""Model versions as people ask for them: aliases, tags, test figures."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from contracts.errors import RegistryError
from contracts.settings import Settings
from models.promotion import notice_moves
from models.registry import resolve
from models.registry_view import VersionRecord, model_versions, registered_model
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
    notice_moves(settings)
    aliases = _aliases(settings)
    return [_summary(record, aliases, {}) for record in model_versions(settings)]


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
    record = VersionRecord(number, int(version.creation_timestamp), dict(version.tags))
    return _summary(record, _aliases(settings), figures)


def _aliases(settings: Settings) -> dict[str, list[str]]:
    """Version to aliases; the search for versions leaves them out."""
    model = registered_model(settings)
    pairs: Mapping[str, str] = {} if model is None else model.aliases
    by_version: dict[str, list[str]] = {}
    for alias, version in sorted(pairs.items()):
        by_version.setdefault(version, []).append(alias)
    return by_version


def _summary(
    record: VersionRecord, aliases: Mapping[str, list[str]], figures: Mapping[str, float]
) -> VersionSummary:
    made = datetime.fromtimestamp(record.created_ms / 1000, tz=UTC)
    return VersionSummary(
        version=record.version,
        aliases=tuple(aliases.get(record.version, ())),
        created=made.isoformat(timespec="minutes"),
        tags=record.tags,
        figures=figures,
    )
