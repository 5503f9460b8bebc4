"""The committed JSON Schemas."""

from pathlib import Path

import pytest

from contracts.messages import MESSAGES, Message, Transaction
from contracts.schemas import FOLDER, schema_files, schema_text, write_schemas


def test_committed_schemas_are_current() -> None:
    """The files hold what the code says; `python -m contracts.schemas` writes them anew."""
    for path, content in schema_files():
        assert path.read_bytes() == content, f"{path.name} is stale"


def test_there_is_one_schema_per_message_and_no_other() -> None:
    """A message that was renamed or removed leaves no schema behind."""
    wanted = {f"{message.__name__.lower()}.json" for message in MESSAGES}
    assert {path.name for path in FOLDER.iterdir()} == wanted


def test_a_changed_message_changes_its_schema() -> None:
    """A new field shows in the schema, so a forgotten file is noticed."""

    class Wider(Transaction):
        extra: str

    assert b'"extra"' in schema_text(Wider)


def test_writing_replaces_what_is_there(tmp_path: Path) -> None:
    """The generator writes every file, over older ones too."""
    stale = tmp_path / "label.json"
    stale.write_text("old")
    write_schemas(tmp_path)
    assert [path.read_bytes() for path, _ in schema_files(tmp_path)] == [
        content for _, content in schema_files(tmp_path)
    ]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.__name__)
def test_every_message_refuses_unknown_fields(message: type[Message]) -> None:
    """A field that nobody knows is an error on the wire, and the schema says so."""
    assert message.model_json_schema()["additionalProperties"] is False
