-- What the desk's role may do; as the tables' owner, after every `prepare`: it says the same however often.
-- psql "$(sudo cat /etc/order-executor/owner/DATABASE_URL)" -v ON_ERROR_STOP=1 -f grants.sql
BEGIN;
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM order_executor;
GRANT USAGE ON SCHEMA public TO order_executor;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO order_executor;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO order_executor;
-- The trail is written by triggers and sealed by the executor, and never rewritten. What was migrated is the owner's.
REVOKE UPDATE, DELETE ON risk_auditentry, risk_auditseal FROM order_executor;
REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM order_executor;
-- Tables of a later version, until this is run again.
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO order_executor;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO order_executor;
COMMIT;
