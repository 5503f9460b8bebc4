#!/usr/bin/env bash
# Makes the platform's databases: one each for the platform itself, MLflow and Airflow, each owned by
# its own user. Postgres's image runs it on an empty volume (docker-entrypoint-initdb.d), the local
# stack runs it at every start; running it again changes nothing but the passwords.
#
# For each name in POSTGRES_MULTIPLE_DATABASES (default "fraud mlflow airflow"), in capitals as X:
#   X_DB_PASSWORD (required), X_DB_NAME and X_DB_USER (default: the name itself).
# The connection is psql's own: PGHOST, PGPORT, PGUSER (or POSTGRES_USER), PGPASSWORD.
set -euo pipefail

export PGUSER="${PGUSER:-${POSTGRES_USER:-postgres}}"
export PGDATABASE="${PGDATABASE:-${POSTGRES_DB:-postgres}}"

make_database() {
    # Values travel in the environment and are quoted by the server: no argument list shows a
    # password, and no value can end a statement.
    DB_NAME="$1" DB_USER="$2" DB_PASSWORD="$3" psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 <<'SQL'
\getenv name DB_NAME
\getenv owner DB_USER
\getenv password DB_PASSWORD
SELECT format('CREATE ROLE %I LOGIN', :'owner')
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'owner') \gexec
ALTER ROLE :"owner" LOGIN PASSWORD :'password';
SELECT format('CREATE DATABASE %I OWNER %I', :'name', :'owner')
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name') \gexec
SELECT format('ALTER DATABASE %I OWNER TO %I', :'name', :'owner')
  FROM pg_database WHERE datname = :'name' AND pg_get_userbyid(datdba) <> :'owner' \gexec
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
}

for database in ${POSTGRES_MULTIPLE_DATABASES:-fraud mlflow airflow}; do
    prefix="$(printf '%s' "$database" | tr '[:lower:]-' '[:upper:]_')_DB"
    name="${prefix}_NAME" user="${prefix}_USER" password="${prefix}_PASSWORD"
    if [ -z "${!password:-}" ]; then
        echo "init-multiple-dbs.sh: ${password} is not set: give database '${database}' a password" >&2
        exit 2
    fi
    make_database "${!name:-$database}" "${!user:-$database}" "${!password}"
    echo "database ${!name:-$database} belongs to ${!user:-$database}"
done
