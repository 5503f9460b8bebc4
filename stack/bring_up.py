"""`up`: supervisor first, then every service as soon as what it needs is healthy."""

import os
from collections.abc import Mapping
from pathlib import Path

from contracts.errors import StackError
from contracts.settings import load_settings
from stack import supervision
from stack.bring_down import end_everything
from stack.credentials import OFFSET, SECRETS, ensure_local_env, recorded, wanted_offset
from stack.doctor import refuse_unfit
from stack.interrupts import uninterrupted
from stack.layout import Layout
from stack.locking import exclusive
from stack.plan import plan
from stack.processes import end_all, strays
from stack.service import Context
from stack.services import services
from stack.steps import Reporter, run_steps
from stack.supervision import connect


def open_context(root: Path, environ: Mapping[str, str] = os.environ) -> Context:
    """The checkout's stack as last started, or as it would start; writes nothing.

    Raises:
        SettingsError: the settings are wrong.
    """
    secrets = dict.fromkeys(SECRETS, "") | recorded(root)
    return Context(recorded_layout(root, environ), load_settings(root, environ), secrets)


def recorded_layout(root: Path, environ: Mapping[str, str] = os.environ) -> Layout:
    """The paths and ports of the last start, or of the next when there was none."""
    return Layout(root, int(recorded(root).get(OFFSET) or wanted_offset(root, environ)))


def wanted_layout(root: Path, environ: Mapping[str, str] = os.environ) -> Layout:
    """The paths and ports that the next start would use.

    Raises:
        StackError: the port offset is not usable.
    """
    return Layout(root, wanted_offset(root, environ))


def bring_up(root: Path, reporter: Reporter) -> Context:
    """Start what does not run and return when everything is healthy.

    An interruption or a failure of a start from nothing ends everything again; a stack that ran
    before is left as it is.

    Raises:
        StackError: a port is taken, a service does not become healthy, …
        SettingsError: the settings are wrong.
    """
    layout = wanted_layout(root)
    before = open_context(root)
    with exclusive(before.layout):
        if connect(before).is_running():
            _refuse_moving(before, layout.offset)
            run_steps(plan(before, connect(before)), reporter)
            return before
        return _start_afresh(layout, reporter)


def _refuse_moving(running: Context, offset: int) -> None:
    if running.layout.offset != offset:
        raise StackError(
            f"the stack runs with port offset {running.layout.offset}",
            value=offset,
            remedy="Run `fraud down` first",
        )


def _start_afresh(layout: Layout, reporter: Reporter) -> Context:
    end_all(strays(layout))
    refuse_unfit(layout)
    secrets = ensure_local_env(layout)
    context = Context(layout, load_settings(layout.root), secrets)
    supervision.write_configuration(context, services(context))
    try:
        supervision.launch(context)
        run_steps(plan(context, connect(context)), reporter)
    except BaseException:  # Ctrl-C too must leave no process
        with uninterrupted():
            end_everything(context)
        raise
    return context
