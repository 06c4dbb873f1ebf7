"""The list of decisions: found by the control that spoke against an order, or made it smaller, by an index."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from orders.admin.decisions import ControlFilter
from orders.models import Decision
from risk import control
from risk.engine.rules import RULES
from tests.conftest import open_the_limits

LIST = "admin:orders_decision_changelist"


def found(client, **asked):
    return {each.signal.signal_id for each in client.get(reverse(LIST), asked).context["cl"].result_list}


@pytest.fixture
def decided(desk, follow, received):
    """A weak signal, one while auto-trading is off that is weak, too, one that went, and one that was clipped."""
    follow(received(signal_id="went"))
    open_the_limits(position_size=Decimal(5000), order_quantity_max=2)
    follow(received(signal_id="clipped", symbol="INFY"))
    follow(received(signal_id="weak", cms_score=55))
    control.auto_trading_off(desk.mode, by="priya", reason="lunch", now=desk.clock())
    follow(received(signal_id="off and weak", cms_score=55))


@pytest.mark.parametrize(
    ("code", "signals"),
    [
        ("CMS_SCORE_TOO_WEAK", {"weak", "off and weak"}),
        ("AUTO_TRADING_DISABLED", {"off and weak"}),
        ("CLIPPED_TO_ROOM", {"clipped"}),
        ("CLIPPED_TO_BAND", set()),
        ("TRADING_HALTED", set()),
        ("no such control", set()),
    ],
)
def test_a_decision_is_found_by_each_control_that_said_no(tara, decided, code, signals):
    assert found(tara, control=code) == signals


def test_the_filters_narrow_each_other(tara, decided):
    assert found(tara, outcome="APPROVED") == {"went", "clipped"}
    assert found(tara, outcome="APPROVED", control="CLIPPED_TO_ROOM") == {"clipped"}
    assert found(tara, outcome="IGNORED", of_symbol="INFY") == set()


def test_every_control_of_the_catalogue_can_be_asked_for():
    offered = {code for code, _ in ControlFilter.lookups(None, None, None)}

    assert {rule.code for rule in RULES} < offered


def test_what_a_decision_was_limited_by_is_what_its_verdicts_say(decided):
    for each in Decision.objects.all():
        failed = [verdict["control"] for verdict in each.verdicts if not verdict["passed"]]
        assert [code for code in each.limited_by if not code.startswith("CLIPPED")] == failed


def test_no_filter_asks_the_table_for_its_values(tara, decided):
    with CaptureQueriesContext(connection) as captured:
        tara.get(reverse(LIST), {"outcome": "DENIED", "control": "CMS_SCORE_TOO_WEAK"})

    assert not [each["sql"] for each in captured if "DISTINCT" in each["sql"]]


def test_the_database_can_answer_by_an_index(decided):
    """On a table of five rows it would read all of them: so it is told not to."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        rare = Decision.objects.limited_by("AUTO_TRADING_DISABLED").order_by()

        assert "decision_limited_by" in rare.explain()


def test_a_search_is_for_a_symbol_a_person_or_what_is_both(tara, decided):
    [went, clipped, *_] = Decision.objects.order_by("pk").values_list("pk", flat=True)
    with connection.cursor() as cursor:  # a decision stays as it was made: no use case changes one
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE orders_decision SET actor = 'INFY' WHERE id = %s", [went])
        cursor.execute("UPDATE orders_decision SET actor = 'priya' WHERE id = %s", [clipped])
        cursor.execute("SET LOCAL session_replication_role = origin")

    assert found(tara, q="INFY") == {"went", "clipped"}
    assert found(tara, q="priya") == {"clipped"}
    assert found(tara, q="infy") == {"clipped"}
    assert found(tara, q="no such thing") == set()
