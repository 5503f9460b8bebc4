"""Makes what the services expect: topics, the bucket, MLflow's experiment. Safe to repeat."""

import os
import sys
from pathlib import Path

from contracts.errors import FraudError
from contracts.settings import load_settings
from stack.experiment import create_experiment
from stack.object_store import put_and_get
from stack.topics import create_topics
from stack.waiting import NotReady


def main() -> int:
    """Run each step once; compose tries again when one fails."""
    try:
        settings = load_settings(Path(os.environ["FRAUD_HOME"]))
        create_topics(settings.kafka)
        put_and_get(settings.object_store)
        create_experiment(settings.mlflow)
    except (FraudError, NotReady) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
