"""The seals over the trail: what they cover, in whatever order it was committed, and that a forgery is named."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from io import StringIO
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from risk.audit import sealing
from risk.audit.sealing import seal, verify
from risk.models import AuditEntry, AuditSeal, Incident
from tests.conftest import WITHOUT_TRIGGERS
from tests.orders.together import direct_connection

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=ZoneInfo("Asia/Kolkata"))

NUMBERS = itertools.count()

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def sealed_before(transactional_db: None) -> None:
    """What setting the database up left in the trail is sealed by itself."""
    seal(now=NOW - timedelta(days=1))


def opened(count: int = 1) -> list[AuditEntry]:
    """Open so many incidents, each in a transaction of its own, and return their entries."""
    for _ in range(count):
        Incident.objects.open(Incident.Kind.SIGNAL_GAP, mode="PAPER", title="x", subject=str(next(NUMBERS)), now=NOW)
    return list(AuditEntry.objects.order_by("-id")[:count][::-1])


def forge(table: str, pk: int, change: str = "") -> None:
    """Do as a superuser could, past every trigger: change the row, or delete it."""
    statement = f"UPDATE {table} SET {change}" if change else f"DELETE FROM {table}"  # noqa: S608
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(WITHOUT_TRIGGERS)
        cursor.execute(f"{statement} WHERE id = {pk}")
        assert cursor.rowcount == 1


def sealed_ids() -> list[int]:
    return [
        number for link in AuditSeal.objects.order_by("id") for number, _ in sealing._PACKED.iter_unpack(link.entries)
    ]


# --- What is sealed --------------------------------------------------------------------------------------------------


def test_every_settled_entry_is_sealed_once_and_the_seals_are_a_chain():
    first = opened(3)
    (one,) = seal(now=NOW)
    opened(2)
    (two,) = seal(now=NOW)

    assert (one.count, one.first_entry, one.last_entry) == (3, first[0].pk, first[-1].pk)
    assert (two.count, two.previous) == (2, one.digest)
    assert sorted(sealed_ids()) == sealed_ids() == list(AuditEntry.objects.order_by("id").values_list("id", flat=True))
    assert seal(now=NOW) == []
    assert verify().findings == []


def of_groups(*names: str) -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(table_name="auth_group", changes__name__in=names).order_by("id"))


def test_an_entry_committed_after_one_with_a_higher_id_is_sealed_later_and_not_forgotten():
    seal(now=NOW)  # what the roles left when the tables were made
    slow, quick = direct_connection(), direct_connection()
    with slow, quick:
        with slow.transaction():
            slow.execute("INSERT INTO auth_group (name) VALUES ('slow')")
            quick.execute("INSERT INTO auth_group (name) VALUES ('quick')")
            while_it_runs = seal(now=NOW)
        afterwards = seal(now=NOW)

    low, high = of_groups("slow", "quick")
    assert (low.changes["name"], high.changes["name"]) == ("slow", "quick")
    assert while_it_runs == [] or low.pk not in range(while_it_runs[0].first_entry, while_it_runs[0].last_entry + 1)
    assert {low.pk, high.pk} <= set(sealed_ids())
    assert sum(link.count for link in afterwards) >= 1
    assert (verify().findings, verify().unsealed) == ([], 0)


def test_an_older_transaction_that_took_a_higher_id_does_not_hide_a_younger_one_that_took_a_lower():
    """The younger one's entry has the lower id and comes last: a seal by ids would have passed over it."""
    seal(now=NOW)  # what the roles left when the tables were made
    older, younger = direct_connection(), direct_connection()
    with older, younger, younger.transaction():
        with older.transaction():
            older.execute("SELECT pg_current_xact_id()")
            younger.execute("INSERT INTO auth_group (name) VALUES ('younger, lower')")
            older.execute("INSERT INTO auth_group (name) VALUES ('older, higher')")
        (early,) = seal(now=NOW)
    (late,) = seal(now=NOW)

    low, high = of_groups("younger, lower", "older, higher")
    assert (early.first_entry, late.first_entry) == (high.pk, low.pk)
    assert (verify().findings, verify().unsealed, verify().entries) == ([], 0, AuditEntry.objects.count())


def test_many_entries_are_several_seals(monkeypatch):
    monkeypatch.setattr(sealing, "ENTRIES_A_SEAL_MAX", 2)
    opened(5)

    made = seal(now=NOW)

    assert [link.count for link in made] == [2, 2, 1]
    assert {*map(frozenset, (link.get_deferred_fields() for link in made))} == {
        frozenset({"entries"})
    }  # of a long night
    assert verify().findings == []


def test_in_another_cluster_whose_transactions_are_counted_anew_the_chain_goes_on():
    opened(1)
    seal(now=NOW)
    last = AuditSeal.objects.order_by("id").last()
    last.up_to_transaction = 1 << 60
    forge("risk_auditseal", last.pk, f"up_to_transaction = {last.up_to_transaction}")
    forge("risk_auditseal", last.pk, f"digest = '{sealing._digest(last)}'")
    entry, second = opened(2)

    (link,) = seal(now=NOW)
    opened(1)
    (another,) = seal(now=NOW)

    assert (link.first_entry, link.last_entry, another.count) == (entry.pk, second.pk, 1)
    assert (verify().findings, verify().unsealed) == ([], 0)


# --- What is found ---------------------------------------------------------------------------------------------------


FORGERIES = [
    "changes = '{}'",
    "actor = 'omar'",
    "reason = 'tidy'",
    "at = at - interval '1 microsecond'",
    "table_name = 'orders_order'",
    "row_pk = '77'",
    "operation = 'DELETE'",
    "request_id = '77'",
    "database_user = '77'",
    "application_name = '77'",
    "backend_pid = 77",
    "transaction_id = transaction_id - 1",
]


def test_a_forged_entry_is_named_whatever_was_changed_in_it():
    entry = opened(3)[1]
    (link,) = seal(now=NOW)
    assert {change.split()[0] for change in FORGERIES} == {field.name for field in AuditEntry._meta.fields} - {"id"}

    for change in FORGERIES:
        with transaction.atomic():
            forge("risk_auditentry", entry.pk, change)
            assert verify().findings == [f"entry {entry.pk} is not as it was: {link} had sealed it"], change
            transaction.set_rollback(True)


def test_a_removed_entry_is_named():
    entry = opened(3)[1]
    (link,) = seal(now=NOW)

    forge("risk_auditentry", entry.pk)

    assert verify().findings == [f"entry {entry.pk} is gone: {link} had sealed it"]


def test_an_entry_put_among_sealed_ones_is_named():
    entry = opened(3)[1]
    with transaction.atomic():
        Incident.objects.update(title="undone")
        transaction.set_rollback(True)  # ids are left out
    later = opened(1)[0]
    seal(now=NOW)

    entry.pk = later.pk - 1
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(WITHOUT_TRIGGERS)
        entry.save(force_insert=True)

    assert verify().findings == [f"entry {later.pk - 1} was put among sealed ones: no seal holds it"]


def test_an_altered_seal_and_a_removed_one_are_named():
    for _ in range(3):
        opened(1)
        seal(now=NOW)
    first, second, third = AuditSeal.objects.order_by("id")[1:]

    forge("risk_auditseal", first.pk, "at = at - interval '1 day'")
    assert verify().findings == [f"{first}: it is not as it was made"]

    forge("risk_auditseal", second.pk)
    assert f"{third}: the seal before it is missing, or is not the one that it follows" in verify().findings


def test_a_chain_cut_off_and_made_anew_is_found_by_a_head_that_was_kept():
    opened(1)
    (link,) = seal(now=NOW)
    assert verify(known_head=link.digest).findings == []

    forge("risk_auditseal", link.pk)
    forge("risk_auditentry", link.last_entry)

    assert verify().findings == []
    assert verify(known_head=link.digest).findings == [
        f"the head {link.digest} is not in the chain: what it sealed was replaced or removed"
    ]


def test_only_what_was_sealed_since_is_checked_when_asked_for():
    old = opened(1)[0]
    seal(now=NOW - timedelta(hours=2))
    new = opened(1)[0]
    seal(now=NOW)
    for entry in (old, new):
        forge("risk_auditentry", entry.pk, "actor = 'omar'")

    (found,) = verify(since=NOW - timedelta(hours=1)).findings

    assert found.startswith(f"entry {new.pk} ")


# --- The commands ----------------------------------------------------------------------------------------------------


def run(command: str, *arguments: Any) -> str:
    out = StringIO()
    call_command(command, *arguments, stdout=out)
    return out.getvalue()


def test_the_commands_seal_and_verify():
    opened(2)

    sealed, again = run("seal_audit"), run("seal_audit")
    verified = run("verify_audit")

    head = AuditSeal.objects.order_by("id").last().digest
    assert f"head {head}" in sealed
    assert again == "nothing to seal\n"
    assert f"head {head}" in verified
    assert "not as it" not in verified
    assert run("verify_audit", "--head", head.upper(), "--since", "2026-11-22")


def test_a_forgery_past_a_trigger_switched_off_and_on_again_ends_the_check_with_an_error(capsys):
    entry = opened(1)[0]
    seal(now=NOW)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE risk_auditentry DISABLE TRIGGER audit_no_change")
        cursor.execute("UPDATE risk_auditentry SET actor = 'omar' WHERE id = %s", [entry.pk])
        cursor.execute("ALTER TABLE risk_auditentry ENABLE TRIGGER audit_no_change")

    with pytest.raises(CommandError, match="NOT as it was written"):
        call_command("verify_audit")

    assert f"entry {entry.pk} is not as it was" in capsys.readouterr().out


def test_a_missing_trigger_ends_the_check_with_an_error(capsys):
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER audit_entry ON orders_order")  # the flush after the test sets it again

    with pytest.raises(CommandError):
        call_command("verify_audit")

    assert "the trigger audit_entry of orders_order is missing" in capsys.readouterr().out


@pytest.mark.parametrize("since", ["yesterday", "2026-13-45"])
def test_a_date_that_is_none_is_refused(since):
    with pytest.raises(CommandError, match="since"):
        call_command("verify_audit", "--since", since)
