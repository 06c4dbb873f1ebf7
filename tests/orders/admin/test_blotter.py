"""The blotter's actions, through the real use cases and the paper broker."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.urls import reverse

from orders import execution
from orders.models import Fill, Order
from orders.reconciliation import reconcile
from risk.models import Mode
from tests.risk.admin.staff import SENT, told, traces


def test_an_unsent_order_is_withdrawn(act, pending):
    order = pending()

    answer = act("orders_order_cancel", order, reason="changed my mind")

    order.refresh_from_db()
    assert (order.status, order.cancel_requested_by, order.cancel_reason) == ("WITHDRAWN", "tara", "changed my mind")
    assert answer["HX-Redirect"] == reverse("admin:orders_order_change", args=[order.pk])
    assert "was withdrawn: it had not been sent" in told(answer)
    assert traces() == ["Cancel asked for: changed my mind"]


@pytest.mark.django_db(transaction=True)
def test_a_cancel_runs_outside_every_transaction(act, pending):
    order = pending()

    act("orders_order_cancel", order, reason="changed my mind")

    order.refresh_from_db()
    assert order.status == "WITHDRAWN"


def test_a_resting_order_is_cancelled_at_the_broker(act, desk, resting):
    order = resting()

    answer = act("orders_order_cancel", order, reason="no longer wanted")
    reconcile(desk)

    order.refresh_from_db()
    assert order.status == "CANCELLED"
    assert "the cancel is asked for" in told(answer)


def test_a_filled_order_is_left_alone_and_the_reason_told(act, held):
    held(1)
    order = Order.objects.get()

    answer = act("orders_order_cancel", order, reason="too late")

    order.refresh_from_db()
    assert order.cancel_requested_at is None
    assert "it is filled, and nothing is left to cancel" in told(answer)
    assert traces() == []


def test_an_order_of_the_other_mode_is_left_alone(act, resting):
    order = resting()
    Order.objects.filter(pk=order.pk).update(mode=Mode.LIVE)

    answer = act("orders_order_cancel", order, reason="wrong desk")

    order.refresh_from_db()
    assert order.cancel_requested_at is None
    assert "it belongs to LIVE, this is PAPER" in told(answer)


def test_a_cancel_needs_a_reason(act, resting):
    order = resting()

    answer = act("orders_order_cancel", order, reason="  ")

    order.refresh_from_db()
    assert order.cancel_requested_at is None
    assert "This field is required" in answer.content.decode()


def test_without_a_paper_server_the_trouble_is_told(act, resting, settings):
    order = resting()
    settings.PAPER_KITE_URL = ""

    answer = act("orders_order_cancel", order, reason="no longer wanted")

    assert "There is no paper Kite server" in told(answer)


def test_several_orders_are_cancelled_with_a_result_for_each(tara, desk, resting, held, pending):
    held(1)
    filled = Order.objects.get()
    working, unsent = resting(symbol="RELIANCE"), pending(symbol="INFY")
    url = reverse("admin:orders_order_changelist")
    chosen = {"action": "cancel_selected", "_selected_action": [filled.pk, working.pk, unsent.pk]}

    asked = tara.post(url, chosen)
    for order in (working, unsent):
        order.refresh_from_db()
        assert order.cancel_requested_at is None  # nothing happens before the page is confirmed
    done = tara.post(url, {**chosen, **SENT, "confirmed": "yes", "reason": "end of day"})
    reconcile(desk)

    assert "Left alone: it is filled" in asked.content.decode()
    working.refresh_from_db()
    unsent.refresh_from_db()
    assert (working.status, unsent.status) == ("CANCELLED", "WITHDRAWN")
    results = done.context["results"]
    assert [each["row"].pk for each in results] == [filled.pk, working.pk, unsent.pk]
    assert [each["said"] for each in results] == [
        "It was not cancelled: it is filled, and nothing is left to cancel.",
        "The cancel is asked for. The broker's book will show its end.",
        "It was withdrawn: it had not been sent.",
    ]
    page = done.content.decode()
    assert "2 of 3 cancels asked for" in page
    assert all(reverse("admin:orders_order_change", args=[each.pk]) in page for each in (filled, working, unsent))
    assert told(done) == ""
    assert traces() == ["Cancel asked for: end of day"] * 2


def test_an_order_that_left_the_lists_filter_meanwhile_is_cancelled_all_the_same(tara, desk, resting):
    first, second = resting(symbol="RELIANCE"), resting(symbol="INFY")
    Order.objects.filter(pk=second.pk).update(status="PARTIALLY_FILLED")
    url = reverse("admin:orders_order_changelist") + "?status__exact=OPEN"
    chosen = {"action": "cancel_selected", "_selected_action": [first.pk, second.pk]}

    tara.post(url, {**chosen, **SENT, "confirmed": "yes", "reason": "end of day"})

    for order in (first, second):
        order.refresh_from_db()
        assert order.cancel_reason == "end of day"


def test_fifty_orders_are_cancelled_at_once_and_no_more(tara, resting):
    orders = [resting()]
    for number in range(50):
        order = Order.objects.get(pk=orders[0].pk)
        order.pk, order.decision, order.status = None, None, "PENDING"
        order.client_order_id, order.broker_order_id = f"CLONE{number}", ""
        order.save(force_insert=True)
        orders.append(order)
    url = reverse("admin:orders_order_changelist")
    chosen = {"action": "cancel_selected", **SENT, "confirmed": "yes", "reason": "end of day"}

    refused = tara.post(url, {**chosen, "_selected_action": [each.pk for each in orders]})
    assert not Order.objects.filter(cancel_requested_at__isnull=False).exists()
    done = tara.post(url, {**chosen, "_selected_action": [each.pk for each in orders[1:]]})

    assert "At most 50 at once" in told(refused)
    assert len(done.context["results"]) == 50
    assert Order.objects.filter(status="WITHDRAWN").count() == 50


def test_the_trouble_of_one_order_does_not_keep_the_others_from_being_cancelled(tara, pending, monkeypatch):
    first, second = pending(symbol="RELIANCE"), pending(symbol="INFY")
    cancel = execution.cancel

    def stumble(desk, order, **wish):
        if order.pk == first.pk:
            raise execution.OtherMode("the desk changed its mode")
        return cancel(desk, order, **wish)

    monkeypatch.setattr(execution, "cancel", stumble)
    chosen = {"action": "cancel_selected", "_selected_action": [first.pk, second.pk], **SENT}
    done = tara.post(reverse("admin:orders_order_changelist"), {**chosen, "confirmed": "yes", "reason": "end of day"})

    second.refresh_from_db()
    assert second.status == "WITHDRAWN"
    assert done.context["results"][0]["said"] == "It was not cancelled: the desk changed its mode."
    assert traces() == ["Cancel asked for: end of day"]


def test_the_whole_quantity_is_suggested_since_the_brokers_own_fills_count_once(tara, in_doubt):
    order = in_doubt()
    Order.objects.filter(pk=order.pk).update(quantity=10, filled_quantity=4)

    dialog = tara.get(reverse("admin:orders_order_mark_filled", args=[order.pk])).content.decode()

    assert 'name="quantity" value="10"' in dialog
    assert "Filled in all" in dialog


def test_a_fill_is_recorded_by_hand_once(act, desk, resting):
    order = resting()
    execution.cancel(desk, order, by="tara", reason="to be marked")
    reconcile(desk)
    fields = {"quantity": 1, "price": "1389.50", "reason": "contract note", "token": "the-same-form"}

    first = act("orders_order_mark_filled", order, **fields)
    act("orders_order_mark_filled", order, **fields)

    fill = Fill.objects.get()
    assert (fill.quantity, fill.price, fill.source) == (1, Decimal("1389.50"), Fill.Source.HAND)
    assert (fill.recorded_by, fill.reason) == ("tara", "contract note")
    assert "1 at ₹1,389.50 marked as filled" in told(first)
    assert traces()[0] == "1 at ₹1,389.50 marked as filled: contract note"


def test_a_fill_is_not_recorded_while_the_broker_shows_the_order_working(act, resting):
    order = resting()

    answer = act("orders_order_mark_filled", order, quantity=1, price="1390", reason="impatient", token="t")

    assert Fill.objects.count() == 0
    assert "The broker shows it as OPEN: cancel it first, or wait for its end." in told(answer)


@pytest.mark.parametrize(
    ("field", "value"),
    [("quantity", "0"), ("quantity", ""), ("price", "0"), ("price", "NaN"), ("price", "-1"), ("reason", "")],
)
def test_a_fill_by_hand_is_checked_before_it_is_tried(act, resting, field, value):
    fields = {"quantity": 1, "price": "1390", "reason": "contract note", "token": "t", field: value}

    answer = act("orders_order_mark_filled", resting(), **fields)

    assert "HX-Redirect" not in answer
    assert Fill.objects.count() == 0


def test_the_page_tells_the_whole_story(tara, follow, received):
    order = follow(received(signal_id="story-1"))

    page = tara.get(reverse("admin:orders_order_change", args=[order.pk])).content.decode()

    assert "CMS score past its threshold" in page
    assert "accepted by the broker as SIM" in page
    assert reverse("admin:orders_signal_change", args=[order.signal_id]) in page
    assert "₹1,400.00" in page


def test_an_order_is_found_by_any_of_its_ids(tara, follow, received):
    order = follow(received(signal_id="story-1"))
    url = reverse("admin:orders_order_changelist")

    for wanted in (order.client_order_id, order.broker_order_id, "story-1", "reliance"):
        assert order.client_order_id in tara.get(url, {"q": wanted}).content.decode()
    assert order.client_order_id not in tara.get(url, {"q": order.client_order_id[:8]}).content.decode()


def test_the_other_mode_is_listed_only_when_asked_for(tara, resting):
    order = resting()
    Order.objects.filter(pk=order.pk).update(mode=Mode.LIVE)
    url = reverse("admin:orders_order_changelist")

    assert order.client_order_id not in tara.get(url).content.decode()
    assert order.client_order_id in tara.get(url, {"mode": "LIVE"}).content.decode()
    assert order.client_order_id in tara.get(url, {"mode": "all"}).content.decode()


def test_an_order_of_a_past_day_is_closed_by_hand(act, tara, in_doubt):
    order = in_doubt()
    url = reverse("admin:orders_order_change", args=[order.pk])
    button = reverse("admin:orders_order_close_past_day", args=[order.pk])
    assert button not in tara.get(url).content.decode()
    Order.objects.filter(pk=order.pk).update(trading_date=order.trading_date - timedelta(days=1))
    assert button in tara.get(url).content.decode()

    act("orders_order_close_past_day", order, reason="the statement does not list it")

    order.refresh_from_db()
    assert order.status == "NOT_PLACED"
    assert traces() == ["Closed: its day is over; closed by hand: the statement does not list it"]


def test_an_order_of_today_is_not_closed_by_hand(act, in_doubt):
    order = in_doubt()

    answer = act("orders_order_close_past_day", order, reason="impatient")

    order.refresh_from_db()
    assert order.status == "IN_DOUBT"
    assert "It is of today" in told(answer)
