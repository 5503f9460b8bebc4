"""Operators that steer the streaming service and check its health; none of them runs for ever."""

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, BranchMixIn

from plugins.hooks.decision_log import DecisionLogHook
from plugins.hooks.stream_service import StreamServiceHook
from plugins.run_settings import run_settings
from plugins.stream_pace import keep_pace

if TYPE_CHECKING:
    from airflow.sdk import Context

HEALTH_DEADLINE_SECONDS = 180.0


class StreamActionOperator(BaseOperator, BranchMixIn):
    """Starts, stops or restarts the stream, then goes on to the health checks if it should run."""

    inherits_from_skipmixin = True
    template_fields = ("action",)
    ui_color = "#e8d7f1"

    def __init__(self, *, action: str, then: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.action = action
        self.then = then

    def execute(self, context: "Context") -> dict[str, Any]:
        """Do what `action` says and return the service's state.

        A start or restart first keeps the form's pace, so that the new process reads it.
        """
        hook = StreamServiceHook(run_settings(context["params"]).supervisor)
        steps = {
            "start": hook.start,
            "check": hook.state,
            "stop": hook.stop,
            "restart": hook.restart,
        }
        if self.action in ("start", "restart"):
            self.log.info("pace: %s", keep_pace(context["params"]) or "as configured")
        state = steps[self.action]()
        self.log.info("%s: stream is %s (%s)", self.action, state.name, state.description)
        self.do_branch(context, None if self.action == "stop" else self.then)
        return {"action": self.action, "state": state.name, "pid": state.pid}


class StreamRunningOperator(BaseOperator):
    """Fails unless the supervisor says that the stream runs."""

    ui_color = "#dff0d8"

    def execute(self, context: "Context") -> str:
        """Return the service's description, such as its process id and how long it is up."""
        hook = StreamServiceHook(run_settings(context["params"]).supervisor)
        return hook.require_running().description


class StreamProgressOperator(BaseOperator):
    """Fails when transactions wait and none is decided."""

    ui_color = "#dff0d8"

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return the lag and, by partition, the offset up to which all is decided."""
        settings = run_settings(context["params"])
        position = DecisionLogHook(settings.kafka).await_progress(HEALTH_DEADLINE_SECONDS)
        self.log.info("decided up to %s, %d waiting", dict(position.answered), position.lag)
        return {
            "lag": position.lag,
            "answered": {str(key): value for key, value in position.answered.items()},
        }


class ChampionDecidesOperator(BaseOperator):
    """Fails when the newest decisions are by another version, or by the fallback rules."""

    ui_color = "#dff0d8"

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return the champion's version, which decides."""
        from contracts.errors import RegistryError
        from models.registry import champion_version

        settings = run_settings(context["params"])
        version = champion_version(settings)
        if version is None:
            raise RegistryError(
                "no champion is set", remedy="Train one, or promote a version (`fraud models`)"
            )
        DecisionLogHook(settings.kafka).await_decider(version, HEALTH_DEADLINE_SECONDS)
        return {"champion": version}
