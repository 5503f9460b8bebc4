"""`init-multiple-dbs.sh`, its refusals; the real work is tested against a real Postgres."""

import os
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "init-multiple-dbs.sh"


def test_a_database_without_a_password_is_refused(tmp_path: Path) -> None:
    """No database is made with an empty password: one message, exit code 2."""
    psql = tmp_path / "psql"
    psql.write_text("#!/bin/sh\ncat >/dev/null\n")
    psql.chmod(0o755)
    result = subprocess.run(
        ["bash", SCRIPT],
        env={"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "FRAUD_DB_PASSWORD": "x"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert "MLFLOW_DB_PASSWORD is not set" in result.stderr
