"""Commands for the local stack: doctor, up, down, restart, status, logs, env, airflow, jars."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    for command in (doctor, up, down, restart, status, logs, env):
        app.command()(command)
    app.command(hidden=True)(jars)
    app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(
        airflow
    )


def doctor() -> None:
    """Examine this machine: what is wrong, and how to mend it."""
    from cli.root import checkout_root
    from cli.stack_views import findings_table, wide_console
    from contracts.settings import load_settings
    from stack.bring_up import wanted_layout
    from stack.doctor import examine

    load_settings(checkout_root())
    findings = examine(wanted_layout(checkout_root()))
    wide_console().print(findings_table(findings))
    if not all(finding.is_well for finding in findings):
        raise typer.Exit(2)


def up() -> None:
    """Start the local stack and return when every service is healthy."""
    from cli.progress_view import step_reporter
    from cli.root import checkout_root
    from cli.signals import terminate_as_interrupt
    from cli.stack_views import say_where
    from stack.bring_up import bring_up

    terminate_as_interrupt()
    with step_reporter() as reporter:
        context = bring_up(checkout_root(), reporter)
    say_where(context, reporter.seconds)


def down(
    wipe: Annotated[bool, typer.Option(help="Also remove all data, logs and secrets.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before wiping.")] = False,
) -> None:
    """Stop the local stack; no process is left."""
    import sys

    from rich.console import Console

    from cli.root import checkout_root
    from contracts.errors import SettingsError
    from stack.bring_down import bring_down, bring_down_strays
    from stack.bring_up import open_context
    from stack.layout import Layout

    if wipe and not yes and sys.stdin.isatty():
        typer.confirm("Remove all data of this checkout's stack?", abort=True)
    console = Console(highlight=False)
    with console.status("stopping") as spinner:
        try:
            bring_down(open_context(checkout_root()), wipe=wipe, say=spinner.update)
        except SettingsError as error:
            console.print(f"The settings are wrong, so processes are found by name: {error}")
            bring_down_strays(Layout(checkout_root()), wipe=wipe, say=spinner.update)
    console.print("The stack is down" + (" and its data is gone." if wipe else "."))


def restart(service: Annotated[str, typer.Argument(help="A service of `fraud status`.")]) -> None:
    """Stop one service, start it again, and wait until it is healthy."""
    from rich.console import Console

    from cli.root import checkout_root
    from stack.bring_up import open_context
    from stack.restart import restart_service

    console = Console(highlight=False)
    with console.status(f"restarting {service}") as spinner:
        restart_service(open_context(checkout_root()), service, say=spinner.update)
    console.print(f"{service} runs again.")


def status() -> None:
    """Show every service, and what is wrong with the stream in words; exit code 1 if anything is.

    Services on demand may be stopped.
    """
    from concurrent.futures import ThreadPoolExecutor

    from cli.root import checkout_root
    from cli.stack_views import conditions_table, status_table, wide_console
    from inference.stream_state import stream_conditions
    from stack.bring_up import open_context
    from stack.status import stack_status

    context, console = open_context(checkout_root()), wide_console()
    with ThreadPoolExecutor(1) as beside:
        found = beside.submit(stream_conditions, context.settings)
        rows = stack_status(context)
        conditions = found.result()
    console.print(status_table(context, rows))
    if conditions:
        console.print("", conditions_table(conditions))
    if conditions or not all(row.is_well for row in rows):
        raise typer.Exit(1)


def logs(
    service: Annotated[str, typer.Argument(help="A service of `fraud status`.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as it grows.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many lines.")] = 50,
) -> None:
    """Show the end of a service's log."""
    from cli.root import checkout_root
    from stack.bring_up import open_context
    from stack.service_logs import follow_log, log_path, tail

    path = log_path(open_context(checkout_root()).layout, service)
    end = path.stat().st_size
    for line in tail(path, lines):
        typer.echo(line)
    if follow:
        for line in follow_log(path, position=end):
            typer.echo(line)


def env() -> None:
    """Print exports for a shell: `eval "$(fraud env)"`, then `airflow …` and `mlflow …` work."""
    from cli.root import checkout_root
    from stack.bring_up import open_context
    from stack.shell import shell_exports

    for line in shell_exports(open_context(checkout_root())):
        typer.echo(line)


def airflow(context: typer.Context) -> None:
    """Run Airflow's own command on the stack: `fraud airflow dags trigger …`."""
    import os

    from cli.root import checkout_root
    from stack.bring_up import open_context
    from stack.shell import refuse_unmade, shell_environment

    opened = open_context(checkout_root())
    refuse_unmade(opened.layout)
    environment = {**os.environ, **shell_environment(opened)}
    os.execvpe("airflow", ["airflow", *context.args], environment)


def jars() -> None:
    """Fetch Kafka's and Spark's jars; nothing when they are there."""
    from cli.root import checkout_root
    from stack.bring_up import wanted_layout
    from stack.jars import fetch_jars

    fetch_jars(wanted_layout(checkout_root()), say=typer.echo)
