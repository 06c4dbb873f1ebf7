"""The audit trail: what is written by whichever way, that nobody rewrites it, and that it says who and why."""

from __future__ import annotations

import threading
from typing import Any

import pgtrigger
import pytest
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.db import ProgrammingError, connection, transaction
from django.utils import timezone

from orders.models import BrokerSession, Fill
from risk import control
from risk.audit import triggers, who
from risk.audit.coverage import COVERED, EXEMPT
from risk.models import AuditEntry, Incident
from tests.orders.together import direct_connection

pytestmark = pytest.mark.django_db


def entries(table: str = "risk_incident") -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(table_name=table).order_by("id"))


def sql(statement: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, list(values) or None)


@pytest.fixture
def incident() -> Incident:
    now = timezone.now()
    return Incident.objects.create(
        kind="SIGNAL_GAP", mode="PAPER", fingerprint="x", title="before", first_at=now, last_at=now
    )


# --- What is covered -------------------------------------------------------------------------------------------------


def test_every_table_is_covered_or_exempt_with_its_reason():
    every = {model._meta.label for model in apps.get_models(include_auto_created=True)}

    assert every == COVERED.keys() | EXEMPT.keys()
    assert not COVERED.keys() & EXEMPT.keys()
    assert all(EXEMPT.values())


def test_every_append_only_table_is_guarded_against_truncate():
    kept = [model._meta.db_table for model, trigger in pgtrigger.registered() if trigger.name == "append_only"]

    assert len(kept) >= 7
    for table in kept:
        with pytest.raises(ProgrammingError, match="TRUNCATE of"), transaction.atomic():
            sql(f"TRUNCATE {table} CASCADE")


# --- What is written -------------------------------------------------------------------------------------------------


def test_an_added_row_is_an_entry_with_all_of_it(incident):
    (entry,) = entries()

    assert (entry.operation, entry.row_pk) == ("INSERT", str(incident.pk))
    assert entry.changes["title"] == "before"
    assert entry.changes["closed_at"] is None


def test_raw_sql_is_in_the_trail_with_before_and_after(incident):
    sql("UPDATE risk_incident SET title = 'after'")

    entry = entries()[-1]
    assert (entry.operation, entry.changes) == ("UPDATE", {"title": ["before", "after"]})
    assert entry.database_user
    assert entry.backend_pid
    assert entry.transaction_id


def test_a_queryset_a_bulk_update_and_a_delete_are_in_the_trail(incident):
    Incident.objects.update(title="one")
    incident.title = "two"
    Incident.objects.bulk_update([incident], ["title"])
    incident.delete()

    assert [entry.operation for entry in entries()] == ["INSERT", "UPDATE", "UPDATE", "DELETE"]
    assert [entry.changes["title"] for entry in entries()] == ["before", ["before", "one"], ["one", "two"], "two"]


def test_what_changes_nothing_or_only_freshness_is_no_entry(incident):
    Incident.objects.update(title="before")
    Incident.objects.update(count=2, last_at=timezone.now())

    assert len(entries()) == 1


def test_a_rolled_back_change_leaves_no_entry(incident):
    with transaction.atomic():
        Incident.objects.update(title="after")
        transaction.set_rollback(True)

    assert len(entries()) == 1


def test_secrets_show_that_they_changed_and_not_to_what(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    user = User.objects.create_user("rita", password="a long password")
    user.set_password("a longer password")
    user.save()
    session = BrokerSession.objects.create(mode="PAPER", access_token="secret one")
    BrokerSession.objects.update(access_token="secret two")

    of_user, of_session = entries("auth_user"), entries("orders_brokersession")
    assert of_user[0].changes["password"] == "…"
    assert of_user[1].changes == {"password": ["…", "…"]}
    assert of_session[-1].changes == {"access_token": ["…", "…"]}
    assert session.pk == int(of_session[-1].row_pk)
    assert "secret" not in str([entry.changes for entry in AuditEntry.objects.all()])


def test_rights_given_and_taken_are_in_the_trail():
    user, group = User.objects.create_user("rita"), Group.objects.create(name="Traders")

    user.groups.add(group)
    user.groups.clear()

    given, taken = entries("auth_user_groups")
    assert (given.operation, taken.operation) == ("INSERT", "DELETE")
    assert given.changes["group_id"] == group.pk


def test_text_that_no_statement_should_hold_is_kept_as_it_is(incident):
    odd = "*/ DROP TABLE x; /* %s %% \\u0041 \" ' \x00 \ud800 ₹ 🙂" + "🙂" * 600

    with who.acting("o'hara */ /*" * 30), who.because(odd):
        Incident.objects.filter(title="before").update(title="after")

    entry = entries()[-1]
    assert entry.actor == ("o'hara */ /*" * 30)[: who.ACTOR_LETTERS_MAX]
    assert entry.reason == odd.replace("\x00", "␀").replace("\ud800", "?")[: who.REASON_LETTERS_MAX]


# --- Nobody rewrites it ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["risk_auditentry", "risk_auditseal"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET at = now()", "DELETE FROM {}", "TRUNCATE {}"])
def test_the_trail_and_its_seals_are_refused_any_change(incident, table, statement):
    with pytest.raises(ProgrammingError, match=f"of {table} is refused"), transaction.atomic():
        sql(statement.format(table))


def test_no_entry_is_taken_but_from_a_trigger(incident):
    copied = entries()[0]
    copied.pk = None

    with pytest.raises(ProgrammingError, match="INSERT of risk_auditentry is refused"), transaction.atomic():
        copied.save(force_insert=True)


def test_a_covered_table_cannot_be_truncated():
    with pytest.raises(ProgrammingError, match="TRUNCATE of orders_order is refused"), transaction.atomic():
        sql("TRUNCATE orders_order CASCADE")


# --- The protections are looked after --------------------------------------------------------------------------------


def test_all_protections_are_in_place():
    assert triggers.missing() == []
    assert triggers.install() == []


NARROWED = (
    "CREATE OR REPLACE TRIGGER audit_entry AFTER UPDATE OF title ON risk_incident FOR EACH ROW"
    " EXECUTE FUNCTION audit_write_entry('id', '', '')"
)
CONDITIONAL = (
    "CREATE OR REPLACE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON risk_auditentry FOR EACH STATEMENT"
    " WHEN (pg_trigger_depth() > 5) EXECUTE FUNCTION audit_refuse()"
)
HOLLOW = "CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"


@pytest.mark.parametrize(
    ("harm", "found"),
    [
        ("DROP TRIGGER audit_entry ON orders_order", "the trigger audit_entry of orders_order"),
        ("ALTER TABLE orders_fill DISABLE TRIGGER audit_entry", "the trigger audit_entry of orders_fill"),
        ("ALTER TABLE orders_fill ENABLE REPLICA TRIGGER audit_entry", "the trigger audit_entry of orders_fill"),
        (NARROWED, "the trigger audit_entry of risk_incident"),
        (CONDITIONAL, "the trigger audit_no_change of risk_auditentry"),
        (HOLLOW, "the function audit_refuse"),
        ("DROP TRIGGER audit_no_truncate ON orders_order", "the trigger audit_no_truncate of orders_order"),
        ("DROP TRIGGER audit_written_by_triggers ON risk_auditentry", "the trigger audit_written_by_triggers of "),
    ],
)
def test_a_protection_taken_away_is_found_and_set_again(harm, found):
    sql(harm)

    (missing,) = triggers.missing()
    assert missing.startswith(found)
    assert triggers.install()
    assert triggers.missing() == []


def test_an_append_only_trigger_switched_off_is_found(db):
    (name,) = [trigger.get_pgid(model) for model, trigger in pgtrigger.registered() if model is Fill]
    sql(f"ALTER TABLE orders_fill DISABLE TRIGGER {name}")

    assert triggers.missing() == ["the trigger append_only of orders_fill"]


# --- Who and why -----------------------------------------------------------------------------------------------------


def test_raw_sql_is_the_database_users(incident):
    group = "INSERT INTO auth_group (name) VALUES ('Traders')"
    said = "SELECT actor, application_name, reason FROM risk_auditentry ORDER BY id DESC LIMIT 1"
    with direct_connection() as other, other.transaction(force_rollback=True):
        other.execute("SET application_name = 'psql'")
        other.execute(group)
        actor, application, reason = other.execute(said).fetchone()

    assert (actor, application, reason) == (f"raw SQL: {connection.settings_dict['USER']}", "psql", "")


def test_outside_a_request_it_is_the_command_line(incident):
    assert entries()[0].actor.startswith("command line: ")


def test_what_is_written_in_between_is_somebodys_and_no_longer_afterwards(incident):
    with who.acting("rita", request_id="a1"), who.because("tidy"):
        Incident.objects.update(title="one")
    Incident.objects.update(title="two")

    during, after = entries()[-2:]
    assert (during.actor, during.reason, during.request_id) == ("rita", "tidy", "a1")
    assert after.actor.startswith("command line: ")
    assert (after.reason, after.request_id) == ("", "")


def test_a_rollback_turns_no_actor_back(incident):
    """The actor is in the statement, and in no session that a rollback could change."""
    with who.acting("rita"), transaction.atomic():
        Incident.objects.update(title="undone")
        transaction.set_rollback(True)
    with who.acting("omar"):
        Incident.objects.update(title="done")

    assert entries()[-1].actor == "omar"


def test_the_actor_of_one_thread_is_not_anothers(incident):
    seen = []
    with who.acting("rita"):
        other = threading.Thread(target=lambda: seen.append(who._actor.get()))
        other.start()
        other.join()

    assert seen == [None]


def test_the_reason_of_the_switch_is_in_the_trail():
    control.halt("PAPER", by="rita", reason="fat finger", now=timezone.now())

    entry = entries("risk_tradingcontrol")[-1]
    assert entry.reason == "fat finger"
    assert entry.changes["state"] == ["ACTIVE", "HALTED"]
    assert entries("risk_tradingcontrolevent")[-1].reason == "fat finger"
