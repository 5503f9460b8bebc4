"""Reading `.env` files: a line that means nothing is an error, not a surprise later."""

from pathlib import Path

from dotenv.parser import parse_stream

from contracts.errors import SettingsError


def read_env_file(path: Path) -> dict[str, str]:
    """Name to value of a `.env` file, empty values left out; nothing when there is no file.

    Raises:
        SettingsError: the file cannot be read, or a line is no assignment; names file and line.
    """
    if not path.exists():
        return {}
    try:
        with path.open(encoding="utf-8") as stream:
            bindings = list(parse_stream(stream))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path.name} cannot be read: {error}", value=str(path)) from error
    values: dict[str, str] = {}
    for binding in bindings:
        if binding.error or (binding.key is not None and binding.value is None):
            raise SettingsError(
                f"line {binding.original.line} of {path.name} is no NAME=value",
                remedy="Close its quotes, or begin it with # to leave it out",
            )
        if binding.key and binding.value:
            values[binding.key] = binding.value
    return values
