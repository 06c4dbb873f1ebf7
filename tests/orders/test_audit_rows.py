"""The tables held against the trail: what was changed while its trigger was switched off is found by the rows."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from risk import control
from risk.audit.rows import FINDINGS_A_TABLE_MAX, verify_rows
from risk.models import Incident, TradingControl
from tests.orders.admin.test_every_page import book  # noqa: F401

pytestmark = pytest.mark.django_db


def sql(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def unseen(table: str, statement: str) -> None:
    """Change a table as its owner can, with its trigger switched off for the moment."""
    sql(
        "SET CONSTRAINTS ALL IMMEDIATE",
        f"ALTER TABLE {table} DISABLE TRIGGER ALL",
        statement,
        f"ALTER TABLE {table} ENABLE TRIGGER ALL",
    )


@pytest.fixture
def incidents() -> list[Incident]:
    """Three incidents, of which the second has come to an end since."""
    now = timezone.now()
    for subject in "abc":
        Incident.objects.open(Incident.Kind.SIGNAL_GAP, mode="PAPER", title=subject, subject=subject, now=now)
    Incident.objects.filter(title="b").update(title="b, later", closed_at=now)
    return list(Incident.objects.order_by("id"))


def test_a_whole_book_is_as_its_trail_says(book):  # noqa: F811
    control.halt("PAPER", by="rita", reason="x", now=timezone.now())
    User.objects.create_user("tom").groups.add(Group.objects.get(name="Trader"))
    Group.objects.create(name="Night desk").delete()

    assert verify_rows() == []


def test_a_time_zone_of_a_session_is_no_difference(incidents):
    sql("SET LOCAL TIME ZONE 'Asia/Kolkata'", "UPDATE risk_incident SET first_at = first_at - interval '1 day'")
    sql("SET LOCAL TIME ZONE 'America/New_York'")

    assert verify_rows() == []


@pytest.mark.parametrize("column", ["title = 'z'", "closed_at = NULL", "first_at = first_at - interval '1 second'"])
def test_a_change_past_the_trigger_is_found(incidents, column):
    second = incidents[1]
    unseen("risk_incident", f"UPDATE risk_incident SET {column} WHERE id = {second.pk}")  # noqa: S608

    (found,) = verify_rows()
    assert found.startswith(f"risk_incident {second.pk}: {column.split()[0]} is not what entry ")


def test_a_switch_turned_past_the_trigger_is_found(book):  # noqa: F811
    control.halt("PAPER", by="rita", reason="x", now=timezone.now())
    paper = TradingControl.objects.get(mode="PAPER")

    unseen("risk_tradingcontrol", "UPDATE risk_tradingcontrol SET state = 'ACTIVE' WHERE mode = 'PAPER'")

    assert [each.split(" is not")[0] for each in verify_rows()] == [f"risk_tradingcontrol {paper.pk}: state"]


def test_a_row_that_went_or_came_past_the_trigger_is_found(incidents):
    first, _, last = (incident.pk for incident in incidents)
    unseen("risk_incident", f"DELETE FROM risk_incident WHERE id = {first}")  # noqa: S608
    sql(f"CREATE TEMP TABLE kept AS SELECT * FROM risk_incident WHERE id = {last}")  # noqa: S608
    Incident.objects.filter(pk=last).delete()
    unseen("risk_incident", "INSERT INTO risk_incident SELECT * FROM kept")
    sql(f"UPDATE kept SET id = {last + 7}, fingerprint = 'new'")  # noqa: S608
    unseen("risk_incident", "INSERT INTO risk_incident SELECT * FROM kept")

    gone, back, came = verify_rows()

    assert gone == f"risk_incident {first} is gone, and no entry says so"
    assert back.startswith(f"risk_incident {last} is there, and entry ")
    assert came == f"risk_incident {last + 7} is there, and no entry says since when"


def test_a_table_emptied_is_told_shortly(incidents):
    for number in range(FINDINGS_A_TABLE_MAX + 5):
        Incident.objects.open(
            Incident.Kind.SIGNAL_GAP, mode="PAPER", title="x", subject=str(number), now=timezone.now()
        )
    unseen("risk_incident", "DELETE FROM risk_incident")

    assert len(verify_rows()) == FINDINGS_A_TABLE_MAX


def run(*arguments: Any) -> str:
    out = StringIO()
    call_command("verify_audit", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_holds_the_tables_against_the_trail_when_asked(incidents):
    unseen("risk_incident", "UPDATE risk_incident SET title = 'z'")

    assert "all as it was written" in run()
    with pytest.raises(CommandError, match="NOT as it was written"):
        run("--rows")
