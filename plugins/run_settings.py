"""The settings of one DAG run: the checkout's, with what its form overrides."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contracts.settings import Settings


def run_settings(params: Mapping[str, Any]) -> "Settings":
    """Load the settings now; a param that names a learning setting overrides it.

    A null param means 'as configured'.

    Raises:
        SettingsError: FRAUD_HOME is not set, or a setting is wrong.
    """
    from contracts.settings import load_settings

    return overridden(load_settings(checkout_home()), params)


def checkout_home() -> Path:
    """The checkout that Airflow's processes were started for.

    Raises:
        SettingsError: FRAUD_HOME is not set.
    """
    from contracts.errors import SettingsError

    home = os.environ.get("FRAUD_HOME")
    if home is None:
        raise SettingsError(
            "FRAUD_HOME is not set for Airflow's processes",
            remedy="Set it to the checkout's root and restart Airflow (`fraud up` does)",
        )
    return Path(home)


def overridden(settings: "Settings", params: Mapping[str, Any]) -> "Settings":
    """`settings` with the learning section's values replaced where `params` has one."""
    from contracts.settings import LearningSettings

    chosen = {
        name: params[name] for name in LearningSettings.model_fields if params.get(name) is not None
    }
    learning = LearningSettings.model_validate(settings.learning.model_dump() | chosen)
    return settings.model_copy(update={"learning": learning})
