"""Incidents from their list: what nobody has looked at first, and many answered with one note and a result for each."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from orders.roles import RISK_MANAGER, TRADER
from risk.models import AuditEntry, Incident
from tests.orders.admin.test_roles import holding
from tests.risk.admin.staff import SENT, told, traces

LIST = "admin:risk_incident_changelist"


@pytest.fixture
def three(db):
    """Three that are open, the oldest of which stops opening in INFY."""
    for number, symbol in enumerate(["INFY", "", "TCS"]):
        Incident.objects.open(
            Incident.Kind.OVERFILL, mode="PAPER", subject=str(number), title=f"number {number}", symbol=symbol,
            stops_opening=number == 0, now=timezone.now(),
        )  # fmt: skip
    return list(Incident.objects.order_by("id"))


@pytest.fixture
def rita(db):
    return holding("rita", RISK_MANAGER)


def answer(client, action, incidents, **fields):
    ticked = {"action": f"{action}_selected", "_selected_action": [each.pk for each in incidents]}
    return client.post(reverse(LIST), {**ticked, **fields})


def confirm(client, action, incidents, **fields):
    return answer(client, action, incidents, **{"confirmed": "yes", "note": "the same switch", **SENT, **fields})


def statuses():
    return list(Incident.objects.order_by("id").values_list("status", flat=True))


def test_what_nobody_looked_at_comes_first_and_what_is_over_last(rita, three):
    three[2].resolve(by="asha", note="done", now=timezone.now())
    three[1].acknowledge(by="asha", note="mine")

    rows = rita.get(reverse(LIST)).context["cl"].result_list

    assert [each.title for each in rows] == ["number 0", "number 1", "number 2"]


def test_the_page_asks_before_anything_is_changed(rita, three):
    page = answer(rita, "resolve", three).content.decode()

    assert "Resolve the selected incidents?" in page
    assert "Stops opening in INFY" in page
    assert page.count("number ") == 3
    assert statuses() == ["OPEN"] * 3


@pytest.mark.parametrize(
    ("action", "status", "said"),
    [("acknowledge", "ACKNOWLEDGED", "acknowledged"), ("resolve", "RESOLVED", "resolved")],
)
def test_each_gets_the_one_note_and_a_result_of_its_own(rita, three, action, status, said):
    three[1].resolve(by="asha", note="done", now=timezone.now())

    page = confirm(rita, action, three).content.decode()

    assert f"2 of 3 incidents {said}" in page
    assert "It is resolved already, by asha: nothing was changed." in page
    assert statuses() == [status, "RESOLVED", status]
    assert {(each.closed_by, each.note) for each in (three[0], three[2]) if not each.refresh_from_db()} == {
        ("rita", "the same switch")
    }
    assert traces() == [f"{said.capitalize()}: the same switch"] * 2


def test_the_trail_has_who_and_the_note_of_each(rita, three):
    confirm(rita, "resolve", three)

    entries = AuditEntry.objects.filter(table_name="risk_incident", operation="UPDATE")
    assert {(each.actor, each.reason) for each in entries} == {("rita", "the same switch")}
    assert entries.count() == 3


def test_sent_again_nothing_is_changed_and_each_says_so(rita, three):
    confirm(rita, "resolve", three)

    page = confirm(rita, "resolve", three, note="again").content.decode()

    assert "0 of 3 incidents resolved" in page
    assert set(Incident.objects.values_list("note", flat=True)) == {"the same switch"}


def test_nothing_is_changed_without_a_note(rita, three):
    page = confirm(rita, "resolve", three, note="").content.decode()

    assert "Resolve the selected incidents?" in page
    assert statuses() == ["OPEN"] * 3


def test_who_may_not_is_not_offered_it_and_cannot_by_naming_it(three):
    theo = holding("theo", TRADER)

    assert "resolve_selected" not in theo.get(reverse(LIST)).content.decode()
    confirm(theo, "resolve", three)
    confirm(theo, "acknowledge", three)

    assert statuses() == ["OPEN"] * 3


def test_more_than_fifty_are_refused(rita, three):
    for number in range(50):
        Incident.objects.open(
            Incident.Kind.OVERFILL, mode="PAPER", subject=f"more {number}", title="more", now=timezone.now()
        )

    refused = confirm(rita, "resolve", Incident.objects.all())

    assert "At most 50 at once." in told(refused)
    assert set(statuses()) == {"OPEN"}


@pytest.mark.parametrize("action", ["acknowledge", "resolve"])
def test_one_that_somebody_resolved_meanwhile_says_by_whom(rita, three, action):
    three[0].resolve(by="asha", note="done", now=timezone.now())

    url = reverse(f"admin:risk_incident_{action}", args=[three[0].pk])
    answer = rita.post(url, {**SENT, "note": "mine"}, headers={"HX-Request": "true"})

    assert told(answer) == "It is resolved already, by asha: nothing was changed."
    assert traces() == []
