#!/usr/bin/env bash
# Writes Airflow's login from the environment, then hands over to the image's own entrypoint.
set -euo pipefail
umask 077
python -c 'import json, os, pathlib
logins = {os.environ["AIRFLOW_USER"]: os.environ["AIRFLOW_PASSWORD"]}
pathlib.Path(os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"]).write_text(json.dumps(logins))'
exec /entrypoint "$@"
