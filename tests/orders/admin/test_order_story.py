"""An order's page: its story in one list, how long each leg took, why a button is missing, and notes of staff."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.urls import reverse
from django.utils import timezone

from orders import execution
from orders.admin import wording
from orders.admin.timeline import Leg, legs
from orders.models import BrokerMessage, Decision, Fill, Order, OrderEvent, Signal
from orders.reconciliation import reconcile
from orders.traffic import CHANGED_ELSEWHERE
from risk.models import Incident
from tests.risk.admin.staff import person

NINE = datetime(2026, 11, 26, 3, 30, tzinfo=UTC)


def page_of(client, order):
    return client.get(reverse("admin:orders_order_change", args=[order.pk])).content.decode()


def after(milliseconds):
    return NINE + timedelta(milliseconds=milliseconds)


def test_each_leg_is_measured_from_the_milestone_before_it():
    order = Order(
        signal=Signal(signal_at=NINE, received_at=after(40)), decision=Decision(at=after(55)), submitted_at=after(60)
    )
    events = [
        OrderEvent(at=after(60), before="PENDING", after="SUBMITTING"),
        OrderEvent(at=after(61), before="SUBMITTING", after="SUBMITTING"),
        OrderEvent(at=after(180), before="SUBMITTING", after="OPEN"),
    ]
    fills = [Fill(filled_at=after(100_060)), Fill(filled_at=after(60))]

    told = {leg.name: leg.milliseconds for leg in legs(order, events, fills)}

    assert told == {
        "signal → recorded": 40,
        "recorded → decided": 15,
        "decided → submitted": 5,
        "submitted → answered": 120,
        "answered → first fill": -120,
        "first fill → last fill": 100_000,
    }


def test_a_leg_whose_end_is_not_known_has_no_duration():
    told = legs(Order(), [], [])

    assert len(told) == 6
    assert {leg.shown for leg in told} == {"–"}


@pytest.mark.parametrize(
    ("milliseconds", "shown"), [(-1, "under 1 s"), (0, "0 ms"), (99_999, "99,999 ms"), (100_000, "100 s")]
)
def test_a_duration_is_said_in_a_unit_that_is_read(milliseconds, shown):
    assert Leg("", milliseconds).shown == shown


def test_the_story_goes_from_the_signal_to_the_last_fill(tara, follow, received):
    order = follow(received(signal_id="story-1"))
    Incident.objects.open(
        Incident.Kind.OVERFILL,
        mode=order.mode,
        subject="x",
        title="Filled beyond",
        client_order_id=order.client_order_id,
        now=timezone.now(),
    )

    page = page_of(tara, order)

    story = page[page.index("desk-story") :]
    told = ["Signal recorded", "Approved", "sending", "accepted by the broker", f"trade {Fill.objects.get().trade_id}"]
    assert all(each in story for each in [*told, "Filled beyond"])
    places = [
        story.index(each) for each in ("Signal recorded", "Approved", "accepted by the broker", "trade ", "1 of 1")
    ]
    assert places == sorted(places)
    assert "signal → recorded" in page


def test_the_brokers_own_words_are_kept_when_they_are_new(tara, desk, resting):
    order = resting()
    reconcile(desk)
    [first] = order.broker_messages.all()
    execution.cancel(desk, order, by="tara", reason="to see the next")
    reconcile(desk)
    reconcile(desk)

    said = [json.loads(each.text) for each in order.broker_messages.all()]
    assert [each["status"] for each in said] == ["OPEN", "CANCELLED"]
    assert said[0]["order_id"] == order.broker_order_id
    assert first.text.replace('"', "&quot;") in page_of(tara, order)


def test_the_same_words_again_are_not_kept_twice(resting):
    order = resting()
    before = order.broker_messages.count()

    for words in ("", order.broker_messages.get().text, "new", "new", "newer", "new"):
        BrokerMessage.objects.keep(order, words, at=NINE)

    assert order.broker_messages.count() == before + 3


def test_what_staff_did_is_told_once(act, tara, resting):
    order = resting()
    act("orders_order_cancel", order, reason="no longer wanted")

    story = page_of(tara, order)

    assert story.lower().count("cancel asked for: no longer wanted") == 1


def test_a_button_that_is_missing_says_why(tara, held, resting):
    held(1)
    filled, working = Order.objects.get(), resting(symbol="INFY")

    told, other = page_of(tara, filled), page_of(tara, working)

    assert "<b>Cancel order</b>: it is filled, and nothing is left to cancel" in told
    assert "<b>Mark filled</b>: it is filled already" in told
    assert "<b>Cancel order</b>:" not in other
    assert "<b>Close past day</b>: it is of today" in other


def test_a_viewer_is_not_told_of_buttons_that_were_never_his(vera, held):
    held(1)

    assert "desk-not-possible" not in page_of(vera, Order.objects.get())


def test_a_note_is_kept_with_its_author_and_changes_nothing(act, tara, resting):
    order = resting()

    act("orders_order_add_note", order, text="rang the broker <b>twice</b>")

    event = OrderEvent.objects.latest("id")
    assert (event.actor, event.before, event.after) == ("tara", "OPEN", "OPEN")
    assert event.note == "note: rang the broker <b>twice</b>"
    assert "rang the broker &lt;b&gt;twice&lt;/b&gt;" in page_of(tara, order)


@pytest.mark.parametrize("text", ["", "  ", "x" * 1001])
def test_a_note_says_something_and_not_too_much(act, resting, text):
    order = resting()
    before = OrderEvent.objects.count()

    act("orders_order_add_note", order, text=text)

    assert OrderEvent.objects.count() == before


def test_a_note_is_never_taken_for_what_the_machine_writes(act, resting):
    order = resting()

    act("orders_order_add_note", order, text=f"{CHANGED_ELSEWHERE}: 5 at {Decimal(1)}")

    assert not OrderEvent.objects.filter(order=order, note__startswith=CHANGED_ELSEWHERE).exists()


def test_a_note_needs_the_permission(resting):
    order = resting()
    nina = person("nina", "view_order")

    assert nina.post(reverse("admin:orders_order_add_note", args=[order.pk]), {"text": "x"}).status_code == 403


@pytest.mark.parametrize("page", ["order", "decision"])
def test_a_page_makes_its_table_of_verdicts_once(tara, resting, monkeypatch, page):
    """The theme's template asks for each field five times, and the table is the longest part of the page."""
    order = resting()
    made: list[object] = []
    monkeypatch.setattr(wording, "described", lambda decisions: made.append(decisions) or [])

    row = order if page == "order" else order.decision
    tara.get(reverse(f"admin:orders_{page}_change", args=[row.pk]))

    assert made == [[order.decision]]
