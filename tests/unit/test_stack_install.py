"""`stack/install.sh` on bad days: one message, exit code 2, and a re-run goes on.

Small scripts stand in for Python, Java, df and uv.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]

PYTHON = """#!/bin/sh
case "$*" in
  *version_info*) echo "${FAKE_PYTHON_VERSION:-3.11}" ;;
  *ensurepip*) exit "${FAKE_NO_VENV:-0}" ;;
  *"-m venv"*) for last; do true; done; mkdir -p "$last/bin"; cp "$0" "$last/bin/python" ;;
  *"-m pip --version"*) exit 0 ;;
  *"-m pip install"*) cp "$FAKE_UV" "$(dirname "$0")/uv"; cp "$FAKE_UV" "$(dirname "$0")/fraud" ;;
esac
"""
UV = """#!/bin/sh
echo "$*" >> "$FAKE_DIARY"
case "$*" in *"pip sync"*) echo "$FAKE_SYNC_SAYS"; exit "${FAKE_SYNC_CODE:-0}" ;; esac
"""
JAVA = '#!/bin/sh\necho "openjdk version \\"${FAKE_JAVA_VERSION:-17.0.1}\\"" >&2\n'
DF = '#!/bin/sh\necho Filesystem\necho "disk 1 1 ${FAKE_FREE_KB:-99000000} 1% /"\n'


@dataclass
class Installer:
    """A scratch checkout with stand-ins."""

    root: Path

    def run(self, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the script as `make install` does."""
        tools = self.root / "tools"
        return subprocess.run(
            ["bash", "stack/install.sh", str(tools / "python3.11"), ".venv"],
            cwd=self.root,
            env={
                "PATH": f"{tools}{os.pathsep}/usr/bin:/bin",
                "FAKE_UV": str(self.root / "tools" / "uv"),
                "FAKE_DIARY": str(self.root / "diary"),
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def installer(tmp_path: Path) -> Installer:
    """A checkout that could be installed."""
    (tmp_path / "stack").mkdir()
    shutil.copy(CHECKOUT / "stack" / "install.sh", tmp_path / "stack")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in {"python3.11": PYTHON, "uv": UV, "java": JAVA, "df": DF}.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    return Installer(tmp_path)


def test_a_good_day_installs_the_lock_the_project_and_the_jars(installer: Installer) -> None:
    """Everything is done in order, and the exit code is 0."""
    result = installer.run()
    assert result.returncode == 0, result.stderr
    diary = (installer.root / "diary").read_text().splitlines()
    assert [line for line in diary if "--version" not in line] == [
        "pip sync --compile-bytecode requirements.lock",
        "pip install --no-deps --editable .",
        "jars",
    ]


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"FAKE_PYTHON_VERSION": "3.12"}, "Python 3.11 is needed"),
        ({"FAKE_NO_VENV": "1"}, "python3.11-venv"),
        ({"FAKE_JAVA_VERSION": "11.0.2"}, "Java 17 or newer is needed, this is 11"),
        ({"FAKE_JAVA_VERSION": "1.8.0_402"}, "Java 17 or newer is needed, this is 8"),
        ({"FAKE_FREE_KB": "1000000"}, "the disk is full"),
        (
            {"FAKE_SYNC_CODE": "2", "FAKE_SYNC_SAYS": "error sending request for url (https://x)"},
            "the network did not answer",
        ),
        (
            {"FAKE_SYNC_CODE": "2", "FAKE_SYNC_SAYS": "No space left on device (os error 28)"},
            "the disk is full",
        ),
        ({"FAKE_SYNC_CODE": "1", "FAKE_SYNC_SAYS": "no such lock"}, "failed: no such lock"),
    ],
)
def test_a_bad_day_is_one_message_and_code_2(
    installer: Installer, environment: dict[str, str], message: str
) -> None:
    """The cause is named once, on stderr, and the exit code is 2."""
    result = installer.run(**environment)
    assert result.returncode == 2
    assert result.stderr.strip().startswith("Error: ")
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_missing_java_is_told(installer: Installer) -> None:
    """A `java` that does not work is named, with how to install one."""
    (installer.root / "tools" / "java").write_text("#!/bin/sh\nexit 127\n")
    result = installer.run()
    assert result.returncode == 2
    assert "openjdk-17-jre-headless" in result.stderr


def test_a_rerun_goes_on_after_a_failure(installer: Installer) -> None:
    """When the network is back, the same command ends well."""
    installer.run(FAKE_SYNC_CODE="2", FAKE_SYNC_SAYS="timed out")
    assert installer.run().returncode == 0


def test_a_slow_part_is_never_silent(installer: Installer) -> None:
    """While a part works, dots appear."""
    slow = UV.replace("case", 'case "$*" in *sync*) sleep 3.6 ;; esac\ncase', 1)
    (installer.root / "tools" / "uv").write_text(slow)
    result = installer.run()
    assert "network) ." in result.stdout
