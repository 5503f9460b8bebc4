"""Where the checkout is, and its settings: the only place that commands ask."""

import os
from pathlib import Path

from contracts.settings import Settings, load_settings


def checkout_root() -> Path:
    """The checkout that this command works on: FRAUD_HOME, or where this package stands."""
    return Path(os.environ.get("FRAUD_HOME") or Path(__file__).parent.parent).resolve()


def settings() -> Settings:
    """The checkout's settings, read and checked now."""
    return load_settings(checkout_root())
