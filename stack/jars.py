"""Kafka's jars and Spark's Kafka connector, fetched by the Ivy that pyspark ships.

A folder under `.fraud/jars` exists only when it is complete: Ivy fills a scratch folder that is
renamed at the end, and its cache lets a stopped download go on where it was.
"""

import importlib.util
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

from contracts.errors import StackError
from stack.commands import run_command
from stack.layout import Layout


@dataclass(frozen=True, slots=True)
class Artifact:
    """A Maven artifact; `transitive` fetches what it needs too."""

    organisation: str
    name: str
    revision: str
    transitive: bool = False


JAR_SETS: Mapping[str, tuple[Artifact, ...]] = {
    "kafka": (
        Artifact("org.apache.kafka", "kafka_2.13", "4.3.0", transitive=True),
        Artifact("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.4", transitive=True),
    ),
    "spark": (
        Artifact("org.apache.spark", "spark-sql-kafka-0-10_2.13", "4.2.0"),
        # The newest token provider that was published for Scala 2.13.
        Artifact("org.apache.spark", "spark-token-provider-kafka-0-10_2.13", "4.0.0"),
        Artifact("org.apache.kafka", "kafka-clients", "3.9.2"),
        Artifact("org.apache.commons", "commons-pool2", "2.13.1"),
        # Checkpoints without forking chmod for every file.
        Artifact("com.globalmentor", "hadoop-bare-naked-local-fs", "0.1.0"),
    ),
}

STAMP = "complete.txt"


def missing_sets(layout: Layout) -> tuple[str, ...]:
    """The jar sets that are absent, unfinished, or of other versions."""
    return tuple(
        name for name in JAR_SETS if _read_stamp(layout.jars / name) != _stamp_text(JAR_SETS[name])
    )


def fetch_jars(
    layout: Layout, say: Callable[[str], None], cancelled: Callable[[], bool] = lambda: False
) -> None:
    """Fetch what is missing; nothing when all is there.

    Raises:
        StackError: the network, the disk or Java stood in the way; a later call goes on.
    """
    for name in missing_sets(layout):
        say(f"fetching the {name} jars")
        _fetch(layout, name, say, cancelled)


def classpath(layout: Layout, name: str) -> str:
    """The jars of a set, for `java -cp`."""
    return str(layout.jars / name / "*")


def ivy_file(artifacts: tuple[Artifact, ...]) -> str:
    """An Ivy module that depends on `artifacts`."""
    dependencies = "".join(
        f"<dependency org={quoteattr(a.organisation)} name={quoteattr(a.name)} "
        f'rev={quoteattr(a.revision)} transitive="{str(a.transitive).lower()}" '
        'conf="default->default"/>'
        for a in artifacts
    )
    return (
        '<ivy-module version="2.0"><info organisation="local" module="jars"/>'
        '<configurations><conf name="default"/></configurations>'
        f"<dependencies>{dependencies}</dependencies></ivy-module>"
    )


def _fetch(
    layout: Layout, name: str, say: Callable[[str], None], cancelled: Callable[[], bool]
) -> None:
    scratch = layout.jars / f".{name}.part"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    (scratch / "ivy.xml").write_text(ivy_file(JAR_SETS[name]), encoding="utf-8")
    run_command(
        _ivy_command(layout, scratch),
        doing=f"fetching the {name} jars",
        log=layout.logs / "jars.log",
        remedy="Check the network and the disk, then run the command again",
        say=say,
        cancelled=cancelled,
    )
    _complete(scratch, layout.jars / name, JAR_SETS[name])


def _complete(scratch: Path, target: Path, artifacts: tuple[Artifact, ...]) -> None:
    (scratch / "ivy.xml").unlink()
    (scratch / STAMP).write_text(_stamp_text(artifacts), encoding="utf-8")
    shutil.rmtree(target, ignore_errors=True)
    scratch.rename(target)


def _ivy_command(layout: Layout, scratch: Path) -> list[str]:
    return [
        java_command(),
        "-jar",
        str(_ivy_jar()),
        *("-ivy", str(scratch / "ivy.xml")),
        *("-cache", str(layout.jars / ".ivy")),
        *("-confs", "default", "-types", "jar", "bundle"),
        *("-retrieve", f"{scratch}/[artifact]-[revision](-[classifier]).[ext]"),
    ]


def java_command() -> str:
    """The `java` on the path.

    Raises:
        StackError: there is none.
    """
    found = shutil.which("java")
    if found is None:
        raise StackError(
            "Java 17 or newer is needed and no `java` was found",
            remedy="Debian: apt install openjdk-17-jre-headless; macOS: brew install openjdk@17",
        )
    return found


def _ivy_jar() -> Path:
    spec = importlib.util.find_spec("pyspark")
    folder = Path(spec.origin).parent if spec is not None and spec.origin else Path()
    found = sorted((folder / "jars").glob("ivy-*.jar"))
    if not found:
        raise StackError("pyspark is not installed, so Ivy is missing", remedy="Run `make install`")
    return found[-1]


def _stamp_text(artifacts: tuple[Artifact, ...]) -> str:
    return "".join(f"{a.organisation}:{a.name}:{a.revision}\n" for a in artifacts)


def _read_stamp(folder: Path) -> str | None:
    stamp = folder / STAMP
    return stamp.read_text(encoding="utf-8") if stamp.exists() else None
