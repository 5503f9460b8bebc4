"""What a supervised service is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from contracts.settings import Settings
from stack.layout import Layout


@dataclass(frozen=True, slots=True)
class Context:
    """What a service is made from: the checkout, its settings, the stack's own secrets."""

    layout: Layout
    settings: Settings
    secrets: Mapping[str, str]


def no_preparation(cancelled: Callable[[], bool]) -> None:
    """For services that need no files before they start."""


@dataclass(frozen=True, slots=True)
class Service:
    """A program under supervision.

    `needs` names the steps that must be done before it starts; `prepare` writes its files.
    On-demand services are started by a command or a DAG, not by `fraud up`. Remote ones are not
    ours: the settings point elsewhere, and `fraud up` only asks whether they answer. A patient
    service yields the cores to those that decisions wait for.
    """

    name: str
    command: tuple[str, ...]
    directory: Path
    needs: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    listeners: tuple[str, ...] = ()
    url: str = ""
    on_demand: bool = False
    is_remote: bool = False
    is_patient: bool = False
    stop_signal: str = "TERM"
    stop_seconds: int = 10
    stop_as_group: bool = True
    prepare: Callable[[Callable[[], bool]], None] = no_preparation
