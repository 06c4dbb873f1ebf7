#!/bin/bash
# In the container of PostgreSQL, at its first start: the two roles of roles.sql, with their passwords from files. What
# grants.sql says of each table is said here beforehand, of those that `prepare` will make.
set -euo pipefail
psql --username "$POSTGRES_USER" --dbname postgres -v ON_ERROR_STOP=1 \
    -v owner_password="$(cat /run/secrets/POSTGRES_OWNER_PASSWORD)" \
    -v desk_password="$(cat /run/secrets/POSTGRES_DESK_PASSWORD)" <<'SQL'
\ir /order-executor/roles.sql
ALTER ROLE order_executor_owner PASSWORD :'owner_password';
ALTER ROLE order_executor PASSWORD :'desk_password';
\connect order_executor
GRANT USAGE ON SCHEMA public TO order_executor;
GRANT ALL ON SCHEMA public TO order_executor_owner;
ALTER DEFAULT PRIVILEGES FOR ROLE order_executor_owner IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO order_executor;
ALTER DEFAULT PRIVILEGES FOR ROLE order_executor_owner IN SCHEMA public
    GRANT USAGE, SELECT ON SEQUENCES TO order_executor;
SQL
