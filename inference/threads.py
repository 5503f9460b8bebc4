"""What threads in the background live by."""

import logging
from collections.abc import Callable

logger = logging.getLogger(__name__)


def survive(step: Callable[[], None]) -> None:
    """Run one step of a background thread, which must outlive whatever it meets."""
    try:
        step()
    except Exception:  # entry point of a thread: an unknown error may not end the watch
        logger.exception("a background step failed; it is tried again")
