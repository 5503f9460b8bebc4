"""The synthetic world's truth is for reports: nothing that learns or decides can reach it."""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from models_world import settings_with

from contracts.kafka import OffsetRange, RawRecord
from models.snapshot import take_snapshot

CHECKOUT = Path(__file__).resolve().parents[2]
LEARNERS = ("features", "models", "inference", "plugins", "dags")
"""The rooms in which a model is trained, gated, promoted or used."""
KNOWS_THE_TOPIC = {
    "contracts/settings.py",
    "producer/records.py",
    "producer/raid.py",
    "producer/run.py",
    "stack/topics.py",
}
"""Settings name the topic, the stack makes it, and the producer writes it."""


def leaks(source: str) -> list[str]:
    """Every way in which a module could come to the truth topic, by line."""
    return [f"line {node.lineno}: {found}" for node, found in _findings(ast.parse(source))]


def _findings(tree: ast.Module) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "truth_topic":
            yield node, "the truth topic"
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
            if "truth_topic" in text or "transaction_truth" in text:
                yield node, f"the topic's name: {text[:40]!r}"
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if module.split(".")[0] == "producer" or "Truth" in {a.name for a in node.names}:
                yield node, f"an import from {module}"
        if isinstance(node, ast.Import) and any(a.name.startswith("producer") for a in node.names):
            yield node, "an import of the producer"
        if isinstance(node, ast.Call):
            yield from _blind_calls(node)


def _blind_calls(call: ast.Call) -> Iterator[tuple[ast.expr, str]]:
    """Calls that reach topics or settings without naming them."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if name in ("model_dump", "model_fields") and "kafka" in ast.unparse(call.func).lower():
        yield call, "all Kafka settings at once"
    if name == "list_topics" and not call.args:
        yield call, "all topics at once"
    if name == "option" and any("subscribePattern" in ast.unparse(a) for a in call.args):
        yield call, "topics by pattern"
    if name == "subscribe" and any("'^" in ast.unparse(a) for a in call.args):
        yield call, "topics by pattern"
    is_getattr = isinstance(call.func, ast.Name) and call.func.id == "getattr"
    if is_getattr and "kafka" in ast.unparse(call.args[0]).lower():
        yield call, "a Kafka setting by a name made at run time"


@pytest.mark.parametrize("room", LEARNERS)
def test_no_learning_room_can_name_the_truth_topic(room: str) -> None:
    """No module of the room mentions it, imports its author, or takes all topics or settings."""
    modules = sorted((CHECKOUT / room).rglob("*.py"))
    assert modules
    found = {path.name: leaks(path.read_text(encoding="utf-8")) for path in modules}
    assert {name: places for name, places in found.items() if places} == {}


def test_only_the_author_and_the_stack_name_the_truth_topic() -> None:
    """In the whole program the setting is used where the topic is named, made and written."""
    rooms = (*LEARNERS, "contracts", "producer", "stack", "cli")
    named = {
        str(path.relative_to(CHECKOUT))
        for room in rooms
        for path in (CHECKOUT / room).rglob("*.py")
        if "truth_topic" in path.read_text(encoding="utf-8")
    }
    assert named == KNOWS_THE_TOPIC


@pytest.mark.parametrize(
    "planted",
    [
        "spans = full_ranges(kafka, kafka.truth_topic)",
        "spans = full_ranges(kafka, 'transaction_truth')",
        "from contracts.messages import Truth",
        "from producer.world import World",
        "def late():\n    import producer.world",
        "topics = kafka.model_dump()",
        "topic = getattr(settings.kafka, name + '_topic')",
        "topics = consumer.list_topics(timeout=5).topics",
        "consumer.subscribe(['^transaction_.*'])",
        "stream.option('subscribePattern', 'transaction.*')",
    ],
)
def test_a_planted_way_to_the_truth_is_found(planted: str) -> None:
    """The check above sees each way that somebody might take."""
    assert leaks(planted)


@dataclass
class AskedLog:
    """Empty topics; remembers which were asked for."""

    asked: list[object] = field(default_factory=list)

    def ranges(self, topic: str) -> list[OffsetRange]:
        """One empty partition."""
        self.asked.append(topic)
        return [OffsetRange(topic, 0, 0, 0)]

    def read(self, span: OffsetRange) -> Iterable[list[RawRecord]]:
        """Nothing."""
        self.asked.append(span.topic)
        return []

    def refuse(self, topic: str, refused: object) -> int:
        """Nothing to refuse."""
        return 0


def test_a_snapshot_holds_four_topics_and_never_the_truth(tmp_path: Path) -> None:
    """All that training and gate know comes from a snapshot, which works without a truth topic."""
    settings = settings_with(tmp_path)
    kafka = settings.kafka.model_copy(update={"truth_topic": object()})
    log = AskedLog()
    blind = settings.model_copy(update={"kafka": kafka})
    manifest = take_snapshot(blind, reference="r", log=log)
    wanted = {kafka.topic, kafka.labels_topic, kafka.outcomes_topic, kafka.scores_topic}
    assert set(log.asked) == wanted
    assert {span.topic for span in manifest.ranges} == wanted
