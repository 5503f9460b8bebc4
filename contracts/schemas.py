"""The JSON Schemas of the messages, generated: `python -m contracts.schemas` writes them anew."""

from collections.abc import Iterator
from pathlib import Path

import orjson

from contracts.messages import MESSAGES, Message

FOLDER = Path(__file__).parent / "schemas"


def schema_text(message: type[Message]) -> bytes:
    """One message's JSON Schema as it stands in its file."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    schema |= message.model_json_schema()
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def schema_files(folder: Path = FOLDER) -> Iterator[tuple[Path, bytes]]:
    """Path and content of every schema file."""
    for message in MESSAGES:
        yield folder / f"{message.__name__.lower()}.json", schema_text(message)


def write_schemas(folder: Path = FOLDER) -> None:
    """Write every schema file, replacing what stands there."""
    folder.mkdir(exist_ok=True)
    for path, content in schema_files(folder):
        path.write_bytes(content)


if __name__ == "__main__":
    write_schemas()
