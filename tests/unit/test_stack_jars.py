"""Fetching jars: whole or not at all, and only once. A small `java` stands in for Ivy."""

import os
import subprocess
from pathlib import Path

import pytest

from contracts.errors import StackError
from stack.jars import JAR_SETS, fetch_jars, ivy_file, missing_sets
from stack.layout import Layout

FETCHES = """#!/bin/sh
for last; do true; done
dir="${last%/*}"
echo x > "$dir/some.jar"
echo fetched >> "$FAKE_JAVA_DIARY"
"""
BREAKS = """#!/bin/sh
for last; do true; done
echo half > "${last%/*}/some.jar"
echo "UnknownHostException: repo1.maven.org"
exit 1
"""


@pytest.fixture
def java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place of a `java` that tests write; first on the path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_JAVA_DIARY", str(tmp_path / "diary"))
    return folder / "java"


def install(java: Path, script: str) -> None:
    """Make `java` do as the script says."""
    java.write_text(script)
    java.chmod(0o755)


def silent(message: str) -> None:
    """Say nothing."""


def test_jars_are_fetched_once(java: Path, tmp_path: Path) -> None:
    """The second call finds everything and fetches nothing."""
    install(java, FETCHES)
    layout = Layout(tmp_path)
    fetch_jars(layout, silent)
    fetch_jars(layout, silent)
    assert missing_sets(layout) == ()
    assert (tmp_path / "diary").read_text().count("fetched") == len(JAR_SETS)
    assert (layout.jars / "kafka" / "some.jar").exists()


def test_a_broken_download_leaves_no_half_set(java: Path, tmp_path: Path) -> None:
    """A failure is one sentence with the cause; the next call mends it."""
    layout = Layout(tmp_path)
    install(java, BREAKS)
    with pytest.raises(StackError, match=r"UnknownHostException.*network"):
        fetch_jars(layout, silent)
    assert not (layout.jars / "kafka").exists()
    install(java, FETCHES)
    fetch_jars(layout, silent)
    assert missing_sets(layout) == ()


def test_a_set_of_other_versions_is_missing(java: Path, tmp_path: Path) -> None:
    """After an upgrade of a version the old jars are fetched anew."""
    install(java, FETCHES)
    layout = Layout(tmp_path)
    fetch_jars(layout, silent)
    stamp = layout.jars / "spark" / "complete.txt"
    stamp.write_text(stamp.read_text().replace("4.2.0", "4.1.0"))
    assert missing_sets(layout) == ("spark",)


def test_no_java_is_told_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Java the error says how to install it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StackError, match=r"Java 17.*openjdk-17"):
        fetch_jars(Layout(tmp_path), silent)


def test_the_ivy_module_is_well_formed() -> None:
    """Each artifact appears once, with its version and whether its needs come too."""
    from xml.etree import ElementTree

    root = ElementTree.fromstring(ivy_file(JAR_SETS["kafka"]))
    found = [(d.get("name"), d.get("rev"), d.get("transitive")) for d in root.iter("dependency")]
    assert found == [(a.name, a.revision, "true") for a in JAR_SETS["kafka"]]


def test_a_cancelled_download_ends_java(java: Path, tmp_path: Path) -> None:
    """Ctrl-C during the download leaves no Java behind."""
    pid_file = tmp_path / "pid"
    install(java, f"#!/bin/sh\necho $$ > {pid_file}\nexec sleep 600\n")
    with pytest.raises(StackError, match="stopped"):
        fetch_jars(
            Layout(tmp_path),
            silent,
            cancelled=lambda: pid_file.exists() and bool(pid_file.read_text()),
        )
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", pid_file.read_text().strip()],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    assert state in ("", "Z")
