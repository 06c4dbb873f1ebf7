#!/bin/bash
# In the container of PostgreSQL, at its first start: the two roles of roles.sql, with their passwords from files. What
# grants.sql says of each table, the service `grants` runs after `prepare`.
set -euo pipefail
# PostgreSQL's own user (999) reads them here. A `cat` that fails inside psql's arguments would not end this, and would
# leave the roles without a password.
password() {
    local text
    text=$(cat "/run/secrets/$1")
    [ -n "$text" ] || { echo "$1 is empty" >&2; return 1; }
    printf %s "$text"
}
owner_password=$(password POSTGRES_OWNER_PASSWORD)
desk_password=$(password POSTGRES_DESK_PASSWORD)
psql --username "$POSTGRES_USER" --dbname postgres -v ON_ERROR_STOP=1 \
    -v owner_password="$owner_password" -v desk_password="$desk_password" <<'SQL'
\ir /order-executor/roles.sql
ALTER ROLE order_executor_owner PASSWORD :'owner_password';
ALTER ROLE order_executor PASSWORD :'desk_password';
\connect order_executor
GRANT USAGE ON SCHEMA public TO order_executor;
GRANT ALL ON SCHEMA public TO order_executor_owner;
SQL
