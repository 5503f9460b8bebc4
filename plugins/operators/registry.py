"""Gate, promotion and rollback: the champion changes here, by evidence or by a person."""

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, BranchMixIn

from plugins.operators.approval import APPROVAL_TASK
from plugins.run_settings import run_settings

if TYPE_CHECKING:
    from airflow.sdk import Context


class GateOperator(BaseOperator, BranchMixIn):
    """Compares the new version with the champion, then branches on verdict and `promotion`.

    `promotion` is `automatic`, `ask` or `never`; `branches` maps the first two to a task each. A
    version that does not pass goes nowhere: that is a result, so the run succeeds.
    """

    inherits_from_skipmixin = True
    template_fields = ("registered", "promotion")
    ui_color = "#fdebd0"

    def __init__(
        self, *, registered: Any, promotion: str, branches: dict[str, str], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.registered = registered
        self.promotion = promotion
        self.branches = branches

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return the verdict with its figures."""
        from models import steps

        settings = run_settings(context["params"])
        verdict = steps.run_gate(settings, self.registered["table_uri"], self.registered["version"])
        self.log.info(
            "version %s %s\n%s", verdict["version"], verdict["outcome"], verdict["report"]
        )
        chosen = self.branches.get(self.promotion) if verdict["passed"] else None
        # A branch that skips tasks ends here by an exception, and then nothing is returned.
        context["ti"].xcom_push(key="return_value", value=dict(verdict))
        self.do_branch(context, chosen)
        return dict(verdict)


class PromoteOperator(BaseOperator):
    """Moves the alias `champion` to a version; doing it twice changes nothing."""

    template_fields = ("version", "why")
    ui_color = "#fad7a0"

    def __init__(self, *, version: Any, why: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.version = version
        self.why = why

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return what changed: the new champion and the previous one."""
        from models import steps

        result = steps.promote(
            run_settings(context["params"]), str(self.version), who=person(context), why=self.why
        )
        self.log.info("promoted: %s", result)
        return dict(result)


class RollbackOperator(BaseOperator):
    """Makes the previous champion the champion again."""

    template_fields = ("why",)
    ui_color = "#f5b7b1"

    def __init__(self, *, why: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.why = why

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return what changed: the champion after and before."""
        from models import steps

        result = steps.rollback(run_settings(context["params"]), who=person(context), why=self.why)
        self.log.info("rolled back: %s", result)
        return dict(result)


def person(context: "Context") -> str:
    """Who is behind this run: whoever approved it, else whoever started it, else its schedule."""
    approval = context["ti"].xcom_pull(task_ids=APPROVAL_TASK)
    if approval:
        return str(approval["responded_by_user"]["name"])
    run = context["dag_run"]
    return str(getattr(run, "triggering_user_name", None) or f"airflow ({run.run_type})")
