"""The key `p`: train a challenger beside the live view, then promote it and time the takeover."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cli.airflow_client import AirflowClient
from contracts.errors import FraudError, RegistryError
from contracts.settings import Settings

TRAINING_SECONDS = 900.0
WHO, WHY = "demo", "p was pressed in the demo"


class Stage(StrEnum):
    """What the key does next."""

    IDLE = "idle"
    TRAINING = "training"
    READY = "ready"
    PROMOTING = "promoting"


@dataclass(frozen=True, slots=True)
class Steps:
    """What a challenge does to the platform; each blocks and raises `FraudError`."""

    train: Callable[[], str]
    """Trains without promoting; the challenger's version."""
    promote: Callable[[str], None]
    """Moves the champion alias to a version."""


class Challenge:
    """One challenger at a time; its long steps run in a thread, and its words say where it is."""

    def __init__(self, steps: Steps, clock: Callable[[], float] = time.monotonic) -> None:
        self._steps = steps
        self._clock = clock
        self._began = 0.0
        self.stage = Stage.IDLE
        self.version = ""
        self._news = ""

    def press(self) -> None:
        """Train when there is no challenger, promote the one that is ready; else nothing."""
        if self.stage is Stage.IDLE:
            self._start(Stage.TRAINING, self._train)
        elif self.stage is Stage.READY:
            self._start(Stage.PROMOTING, self._promote)

    def _start(self, stage: Stage, work: Callable[[], None]) -> None:
        self.stage, self._began = stage, self._clock()
        threading.Thread(target=self._attempt, args=(work,), daemon=True).start()

    def _attempt(self, work: Callable[[], None]) -> None:
        try:
            work()
        except FraudError as error:
            self.stage, self._news = Stage.IDLE, f"no promotion: {error.cause}; "

    def _train(self) -> None:
        self.version = self._steps.train()
        self.stage, self._news = Stage.READY, ""

    def _promote(self) -> None:
        self._steps.promote(self.version)

    def saw(self, version: str) -> bool:
        """Tell which version decided last; whether that is the first decision of the promoted."""
        if self.stage is not Stage.PROMOTING or version != self.version:
            return False
        seconds = self._clock() - self._began
        self.stage = Stage.IDLE
        self._news = f"v{version} decided {seconds:.1f} s after p; "
        return True

    @property
    def words(self) -> str:
        """One line for below the view."""
        seconds = self._clock() - self._began
        return (
            self._news
            + {
                Stage.IDLE: "press p: train a challenger",
                Stage.TRAINING: f"a challenger is being trained, {seconds:.0f} s",
                Stage.READY: f"press p: promote the challenger, v{self.version}",
                Stage.PROMOTING: f"v{self.version} takes over, {seconds:.1f} s",
            }[self.stage]
        )


def challenge_steps(settings: Settings, dag: str, training: Mapping[str, Any]) -> Steps:
    """The real steps: the training DAG without promotion, then the move of the alias."""

    def train() -> str:
        from models.registry import CHALLENGER, alias_version

        with AirflowClient(settings.airflow) as airflow:
            run_id = airflow.trigger(dag, {**training, "promotion": "never"})
            for _ in airflow.follow(dag, run_id, timeout_seconds=TRAINING_SECONDS):
                pass
        version = alias_version(settings, CHALLENGER)
        if version is None:
            raise RegistryError(
                "training registered no challenger", remedy="See its run in Airflow"
            )
        return version

    def promote(version: str) -> None:
        from models.promotion import promote

        promote(settings, version, who=WHO, why=WHY)

    return Steps(train, promote)
