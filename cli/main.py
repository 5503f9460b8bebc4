"""The entry point: a known problem becomes one line and an exit code, and so does Ctrl-C."""

import sys

from contracts.errors import FraudError


def main() -> None:
    """Run a command; a known problem is one message on stderr and exit code 2."""
    try:
        # Imported here: Ctrl-C while the libraries load must not show where they were.
        from cli.application import app

        app()
    except FraudError as error:
        _tell(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


def _tell(error: FraudError) -> None:
    from rich.console import Console
    from rich.text import Text

    message = Text.assemble(("Error: ", "bold red"), str(error))
    Console(stderr=True).print(message, soft_wrap=True)
