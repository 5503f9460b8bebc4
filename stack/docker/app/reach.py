"""A container's health: whether the transactions topic can be reached from here."""

import os
import sys
from pathlib import Path

from contracts.errors import FraudError
from contracts.kafka import full_ranges
from contracts.settings import load_settings

if __name__ == "__main__":
    try:
        kafka = load_settings(Path(os.environ["FRAUD_HOME"])).kafka
        full_ranges(kafka, kafka.topic)
    except FraudError as error:
        sys.exit(str(error))
