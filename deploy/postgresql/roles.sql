-- Two roles and the database; once, as PostgreSQL's superuser: sudo -u postgres psql -f roles.sql
-- Give both a password after it: \password order_executor_owner, \password order_executor
--
-- The first owns the tables, and is used to bring them up to date. The second is what the desk runs as: it can neither
-- truncate, alter or drop a table nor switch off a trigger, and of the audit trail it can change nothing. Whoever gets
-- hold of the desk's password cannot unmake what is written.
CREATE ROLE order_executor_owner LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;
CREATE ROLE order_executor LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE CONNECTION LIMIT 60;
CREATE DATABASE order_executor OWNER order_executor_owner ENCODING 'UTF8' LOCALE 'C.UTF-8' TEMPLATE template0;
REVOKE ALL ON DATABASE order_executor FROM PUBLIC;
GRANT CONNECT ON DATABASE order_executor TO order_executor;
