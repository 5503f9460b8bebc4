#!/usr/bin/env bash
# Adds a random value to .env for each secret that compose needs and .env lacks. Nothing that is
# there is changed; the file can be read by its owner alone.
set -euo pipefail
cd "$(dirname "$0")/../.."
umask 077
touch .env
chmod 600 .env

secret() { # name, command that prints a value
    if ! grep -q "^$1=." .env; then
        sed -i.bak "/^$1=\$/d" .env && rm -f .env.bak
        printf '%s=%s\n' "$1" "$($2)" >> .env
        echo "$1: made"
    fi
}
hex() { openssl rand -hex 24; }
long_hex() { openssl rand -hex 48; }
fernet() { openssl rand -base64 32 | tr '+/' '-_'; }

for name in POSTGRES_PASSWORD DB_PASSWORD MLFLOW_DB_PASSWORD AIRFLOW_DB_PASSWORD MINIO_ACCESS_KEY \
    MINIO_SECRET_KEY REDIS_PASSWORD AIRFLOW_PASSWORD AIRFLOW_API_SECRET SUPERVISOR_PASSWORD; do
    secret "$name" hex
done
secret AIRFLOW_JWT_SECRET long_hex
secret AIRFLOW_FERNET_KEY fernet
