"""
What somebody who has the application's own role in the database could try on the trail, and what notices it.

That role owns the tables: it can take every protection away, and put it back. So what is asked is not that nothing can
be done, but that it leaves an entry, is named by the check, or is refused.
"""

from __future__ import annotations

from io import StringIO
from typing import Any

import pgtrigger
import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, ProgrammingError, connection, transaction
from django.utils import timezone

from risk import control
from risk.audit import triggers
from risk.audit.sealing import seal, verify
from risk.models import AuditEntry, Incident
from tests.orders.together import direct_connection

pytestmark = pytest.mark.django_db


def sql(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@pytest.fixture
def sealed() -> AuditEntry:
    """One incident, whose entry is sealed."""
    Incident.objects.open(Incident.Kind.SIGNAL_GAP, mode="PAPER", title="before", now=timezone.now())
    seal(now=timezone.now())
    return AuditEntry.objects.filter(table_name="risk_incident").latest("id")


def verified() -> str:
    """Return what `manage.py verify_audit` says, its error last."""
    out = StringIO()
    try:
        call_command("verify_audit", stdout=out)
    except CommandError as found:
        return f"{out.getvalue()}{found}"
    return out.getvalue()


TRAIL = "risk_auditentry"
CHANGE = "UPDATE risk_incident SET title = 'after'"


def past(table: str, trigger: str, *statements: str) -> list[str]:
    """Do something past a trigger, and put the trigger back."""
    return [
        f"ALTER TABLE {table} DISABLE TRIGGER {trigger}",
        *statements,
        f"ALTER TABLE {table} ENABLE TRIGGER {trigger}",
    ]


COLUMNS = "table_name, row_pk, operation, changes, reason, request_id, database_user, application_name, backend_pid, at"
AMONG = (
    f"INSERT INTO {TRAIL} (id, actor, transaction_id, {COLUMNS}) SELECT -1, 'omar', 3, {COLUMNS} FROM {TRAIL} LIMIT 1"  # noqa: S608
)
BENDING = "CREATE FUNCTION bend() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.actor := ''omar''; RETURN NEW; END'"


@pytest.mark.parametrize(
    ("attack", "words"),
    [
        (["ALTER TABLE orders_order DISABLE TRIGGER ALL"], "the trigger audit_entry of orders_order is missing"),
        (["DROP TRIGGER audit_no_change ON risk_auditseal"], "the trigger audit_no_change of risk_auditseal"),
        (past(TRAIL, "audit_no_change", "UPDATE risk_auditentry SET actor = 'omar'"), "is not as it was"),
        (past(TRAIL, "audit_no_change", "DELETE FROM risk_auditentry"), "is gone"),
        (past(TRAIL, "audit_no_truncate", f"TRUNCATE {TRAIL}"), "is gone"),
        (past("risk_auditseal", "audit_no_change", "UPDATE risk_auditseal SET at = now()"), "it is not as it was made"),
        (past(TRAIL, "audit_written_by_triggers", AMONG), "was put among sealed ones"),
        (
            ["CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"],
            "the function audit_refuse is missing",
        ),
        (["ALTER FUNCTION audit_write_entry() SET search_path = elsewhere"], "the function audit_write_entry"),
        (["ALTER FUNCTION audit_write_entry() RESET search_path"], "the function audit_write_entry"),
        (
            [BENDING, f"CREATE TRIGGER a BEFORE INSERT ON {TRAIL} FOR EACH ROW EXECUTE FUNCTION bend()"],
            "the trigger a of risk_auditentry is not ours",
        ),
        ([f"CREATE RULE r AS ON INSERT TO {TRAIL} DO INSTEAD NOTHING"], "the rule r of risk_auditentry is not ours"),
        ([f"ALTER TABLE {TRAIL} ENABLE ROW LEVEL SECURITY"], "risk_auditentry is no plain table"),
        (["ALTER TABLE risk_auditseal SET UNLOGGED"], "risk_auditseal is no plain table"),
    ],
)
def test_what_is_done_to_the_trail_is_named(sealed, attack, words):
    sql("SET CONSTRAINTS ALL IMMEDIATE", *attack)

    said = verified()

    assert words in said
    assert "NOT as it was written" in said


def test_a_trail_that_is_not_there_is_no_trail_that_is_well(sealed):
    sql(f"DROP TABLE {TRAIL} CASCADE")

    with pytest.raises(ProgrammingError, match="does not exist"), transaction.atomic():
        verified()


SAYING_OMAR = (
    'CREATE FUNCTION evil.current_query() RETURNS text LANGUAGE sql AS $$SELECT \'/*desk {"actor": "omar"}*/\'$$'
)


@pytest.mark.parametrize(
    "attack",
    [
        [f"CREATE TEMP TABLE {TRAIL} (LIKE {TRAIL} INCLUDING ALL)", CHANGE],
        [
            "CREATE SCHEMA evil",
            f"CREATE TABLE evil.{TRAIL} (LIKE {TRAIL} INCLUDING ALL)",
            "SET LOCAL search_path = evil, public",
            CHANGE,
        ],
        [
            "CREATE SCHEMA evil",
            SAYING_OMAR,
            "SET LOCAL search_path = evil, pg_catalog, public",
            CHANGE,
        ],
        ["SET LOCAL pgtrigger.ignore = '{}'", CHANGE],
    ],
    ids=["a temporary table", "a table before ours", "a function before PostgreSQL's", "pgtrigger's way around"],
)
def test_no_session_leads_its_entries_elsewhere(sealed, attack):
    sql(*attack, "SET LOCAL search_path = public")

    (found,) = public_entries("after")
    assert found != "omar"


def public_entries(title: str) -> list[str]:
    """Return who changed an incident's title to this one, as the trail says."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT actor FROM public.risk_auditentry WHERE changes -> 'title' ->> 1 = %s", [title])
        return [actor for (actor,) in cursor]


def test_an_append_only_row_deleted_by_pgtriggers_own_way_around_leaves_an_entry(sealed):
    control.halt("PAPER", by="rita", reason="x", now=timezone.now())

    with pgtrigger.ignore("risk.TradingControlEvent:append_only"):
        sql("DELETE FROM risk_tradingcontrolevent")

    assert AuditEntry.objects.filter(table_name="risk_tradingcontrolevent", operation="DELETE").exists()


def test_another_actor_in_the_comment_leaves_whose_session_it_was(sealed):
    """The comment is anybody's to write: who was connected, and from what, stands beside it."""
    with direct_connection() as other, other.transaction(force_rollback=True):
        other.execute("SET application_name = 'psql'")
        other.execute('/*desk {"actor": "omar"}*/ INSERT INTO auth_group (name) VALUES (\'x\')')
        said = (
            "SELECT actor, database_user, application_name, backend_pid FROM risk_auditentry ORDER BY id DESC LIMIT 1"
        )
        found: Any = other.execute(said).fetchone()

        assert found == ("omar", connection.settings_dict["USER"], "psql", other.info.backend_pid)


def test_a_comment_that_cannot_be_read_refuses_the_change_and_hides_nothing(sealed):
    with pytest.raises(DatabaseError), transaction.atomic():
        sql(f"/*desk not json*/ {CHANGE}")

    assert not public_entries("after")
    assert verify().findings == []
    assert triggers.missing() == []
