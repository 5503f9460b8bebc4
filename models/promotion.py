"""Promotion and rollback: idempotent alias moves, each recorded with who, when and why."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from contracts.errors import RegistryError
from contracts.settings import Settings
from models.registry import CHAMPION, PREVIOUS, client_alias, load_bundle, resolve
from models.registry_view import RegisteredModel, registered_model
from models.tracking import asking_mlflow, tracking_client

EVENT_PREFIX = "event."
Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class AliasMove:
    """Something that happened to the champion: promoted, rolled_back or moved_elsewhere."""

    action: str
    version: str
    previous: str | None
    who: str
    why: str
    at: str


@dataclass(frozen=True, slots=True)
class Moved:
    """Where the aliases point now; `changed` is False when they already did."""

    version: str
    previous: str | None
    changed: bool


def utc_now() -> datetime:
    """The wall clock, for the record of who moved what when."""
    return datetime.now(tz=UTC)


@asking_mlflow()
def promote(
    settings: Settings, version: str, *, who: str, why: str, clock: Clock = utc_now
) -> Moved:
    """Make a version champion and the one before it previous_champion.

    The previous one is set first: a crash in between leaves the old champion deciding, and a second
    call finishes the move. The bundle is downloaded, whatever this machine keeps: those who will
    decide by it may have to.

    Raises:
        BundleError: the version is incomplete, or was made for other features than this code's.
        RegistryError: the registry does not answer, or has no such version.
    """
    wanted = resolve(settings, version)
    load_bundle(settings, wanted, is_downloaded=True)
    return _move(settings, wanted, "promoted", who, why, clock)


@asking_mlflow()
def rollback(settings: Settings, *, who: str, why: str, clock: Clock = utc_now) -> Moved:
    """Make previous_champion champion again; doing it twice changes nothing more.

    Raises:
        RegistryError: there is no previous champion, or the registry does not answer.
    """
    client = tracking_client(settings.mlflow)
    notice_moves(settings, clock)  # a champion set in MLflow itself changes what was before it
    previous = client_alias(client, settings.mlflow.model_name, PREVIOUS)
    if previous is None:
        raise RegistryError("there is no previous champion to go back to")
    load_bundle(settings, previous)
    return _move(settings, previous, "rolled_back", who, why, clock)


def _move(settings: Settings, version: str, action: str, who: str, why: str, clock: Clock) -> Moved:
    client, name = tracking_client(settings.mlflow), settings.mlflow.model_name
    notice_moves(settings, clock)
    champion = client_alias(client, name, CHAMPION)
    if champion == version:
        return Moved(version, client_alias(client, name, PREVIOUS), changed=False)
    if champion is not None and action == "promoted":
        client.set_registered_model_alias(name, PREVIOUS, champion)
    client.set_registered_model_alias(name, CHAMPION, version)
    _record(client, name, AliasMove(action, version, champion, who, why, _stamp(clock)))
    return Moved(version, champion, changed=True)


def _stamp(clock: Clock) -> str:
    """Sortable, and of characters that MLflow allows in a tag's name."""
    return clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _record(client: Any, name: str, move: AliasMove) -> None:
    """On the version, for people who look at it, and in the model's history."""
    body = json.dumps(asdict(move), sort_keys=True)
    client.set_registered_model_tag(name, f"{EVENT_PREFIX}{move.at}", body)
    for key in ("action", "who", "why", "at"):
        client.set_model_version_tag(name, move.version, f"promotion.{key}", getattr(move, key))


@asking_mlflow()
def history(settings: Settings, clock: Clock = utc_now) -> list[AliasMove]:
    """Every move of the champion, oldest first, after noticing those made elsewhere.

    Raises:
        RegistryError: the registry does not answer.
    """
    notice_moves(settings, clock)
    model = registered_model(settings)
    return [] if model is None else _moves(model)


def _moves(model: RegisteredModel) -> list[AliasMove]:
    events = sorted(item for item in model.tags.items() if item[0].startswith(EVENT_PREFIX))
    return [AliasMove(**json.loads(body)) for _, body in events]


def notice_moves(settings: Settings, clock: Clock = utc_now) -> AliasMove | None:
    """Record a champion that somebody set in MLflow's own pages or API since the last event.

    Raises:
        RegistryError: the registry does not answer.
    """
    model = registered_model(settings)
    if model is None:
        return None
    known, champion = _moves(model), model.aliases.get(CHAMPION)
    last = known[-1].version if known else None
    if champion is None or champion == last:
        return None
    move = AliasMove(
        "moved_elsewhere",
        champion,
        last,
        "unknown",
        "The alias was moved in MLflow itself",
        _stamp(clock),
    )
    client, name = tracking_client(settings.mlflow), settings.mlflow.model_name
    _record(client, name, move)
    if last is not None:
        client.set_registered_model_alias(name, PREVIOUS, last)
    return move
