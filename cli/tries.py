"""Where repeated tries are told: in the log, never on stdout, which belongs to results."""

import stamina
from stamina.instrumentation import LoggingOnRetryHook


def log_retries() -> None:
    """Send every announcement of a retry to the standard library's log."""
    stamina.instrumentation.set_on_retry_hooks([LoggingOnRetryHook])
