"""The role that the desk runs as can trade, and cannot unmake what is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest
from django.db import connection

from orders.models import Order
from risk.models import AuditEntry, Incident
from tests.deploy.conftest import text
from tests.executor_process import ExecutorProcess, manage
from tests.orders.paper.paper_process import PaperProcess
from tests.orders.together import direct_connection
from tests.test_story import auto_trading, concluded, filled, publish, start, valkey

__all__ = ["auto_trading", "start", "valkey"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]

ROLE, PASSWORD = "order_executor_of_a_test", "a password of the suite"


def in_the_suite(sql: str) -> str:
    """Return the delivered grants for a role of the suite: its own is the owner of everything."""
    return sql.replace("TO order_executor;", f"TO {ROLE};").replace("FROM order_executor;", f"FROM {ROLE};")


@pytest.fixture
def url(db: None) -> Iterator[str]:
    """The address of the database as the desk's role."""
    at = connection.get_connection_params()
    with direct_connection() as owner:
        owner.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}' NOSUPERUSER NOCREATEDB NOCREATEROLE")
        owner.execute(in_the_suite(text("postgresql/grants.sql")))
    yield f"postgresql://{ROLE}:{PASSWORD.replace(' ', '%20')}@{at['host']}:{at['port']}/{at['dbname']}"
    connection.close()
    with direct_connection() as owner:
        owner.execute(f"DROP OWNED BY {ROLE}")
        owner.execute(f"DROP ROLE {ROLE}")


def test_the_desk_trades_and_seals_the_trail_with_it(
    url, start: Callable[..., ExecutorProcess], valkey, auto_trading, paper: PaperProcess
):
    start(DATABASE_URL=url)

    publish(valkey, signal_id="one")

    filled(concluded("one"))
    assert Order.objects.get().status == "FILLED"
    written = AuditEntry.objects.filter(table_name="orders_order")
    assert {entry.database_user for entry in written} == {ROLE}
    assert not Incident.objects.exists()
    sealed = manage("verify_audit", paper_url=paper.root, DATABASE_URL=url)
    assert sealed.returncode == 0, sealed.stderr


REFUSED = (
    "TRUNCATE risk_auditentry",
    "TRUNCATE orders_order CASCADE",
    "DELETE FROM risk_auditentry",
    "UPDATE risk_auditentry SET actor = 'nobody'",
    "UPDATE risk_auditseal SET digest = ''",
    "ALTER TABLE orders_order DISABLE TRIGGER audit_entry",
    "DROP TRIGGER audit_no_change ON risk_auditentry",
    "DROP TABLE orders_fill",
    "ALTER TABLE orders_order ADD COLUMN slipped text",
    "CREATE TABLE slipped ()",
    "CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "SET session_replication_role = replica",
    "DELETE FROM django_migrations",
    "CREATE ROLE slipped",
    "CREATE DATABASE slipped",
)


def test_it_can_unmake_nothing(url):
    done = []
    with psycopg.connect(url, autocommit=True) as role:
        for statement in REFUSED:
            try:
                role.execute(statement)
            except psycopg.errors.InsufficientPrivilege:
                continue
            done.append(statement)

    assert done == []


def test_the_grants_say_the_same_however_often(url):
    privileges = (
        "SELECT table_name, privilege_type FROM information_schema.table_privileges WHERE grantee = %s ORDER BY 1, 2"
    )
    with direct_connection() as owner:
        before = owner.execute(privileges, [ROLE]).fetchall()
        owner.execute(in_the_suite(text("postgresql/grants.sql")))

        assert owner.execute(privileges, [ROLE]).fetchall() == before
    assert ("risk_auditentry", "INSERT") in before
    assert ("risk_auditentry", "UPDATE") not in before
    assert "TRUNCATE" not in {privilege for _, privilege in before}
