"""What every test session needs."""

import signal


def pytest_configure() -> None:
    """Heed Ctrl-C, and let child processes heed it, as in a terminal.

    A shell starts its background jobs with SIGINT ignored, and children inherit that: a test that
    interrupts a command would then wait for its ordinary end.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
