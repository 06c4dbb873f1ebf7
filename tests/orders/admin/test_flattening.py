"""Flatten and what still works, on the Trading control page."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from orders.execution import halt
from orders.models import Flatten, Order, Position
from orders.reconciliation import reconcile
from risk.models import Mode, TradingControl
from tests.risk.admin.staff import SENT, person, told, traces


def paper_switch():
    return TradingControl.objects.get(mode=Mode.PAPER)


def section(client):
    return client.get(reverse("admin:still_working")).content.decode()


def test_everything_is_closed_by_one_form_and_each_result_is_told(act, desk, held):
    held(2)
    form = {"reason": "a rumour", "word": "FLATTEN", "token": "the-same-form"}

    answer = act("risk_tradingcontrol_flatten", paper_switch(), **form)
    act("risk_tradingcontrol_flatten", paper_switch(), **form)
    reconcile(desk)

    wish = Flatten.objects.get()
    assert (wish.asked_by, wish.reason) == ("tara", "a rumour")
    assert answer["HX-Redirect"] == reverse("admin:orders_flatten_change", args=[wish.pk])
    assert "RELIANCE: being closed" in told(answer)
    assert traces()[0] == "Flatten: a rumour"
    assert (Position.objects.get().quantity, Order.objects.filter(is_exit=True).count()) == (0, 1)
    assert paper_switch().state == "REDUCE_ONLY"


@pytest.mark.parametrize("word", ["", "flatten", "FLAT"])
def test_without_the_word_nothing_is_sent(act, held, word):
    held(2)

    act("risk_tradingcontrol_flatten", paper_switch(), reason="a rumour", word=word, token="t")

    assert not Flatten.objects.exists()
    assert paper_switch().state == "ACTIVE"


def test_the_dialog_says_what_will_be_sent(tara, held, resting):
    held(2)
    resting()

    dialog = tara.get(reverse("admin:risk_tradingcontrol_flatten", args=[paper_switch().pk])).content.decode()

    assert "SELL 2 at the market, ₹2,800.00 (last ₹1,400.00)" in dialog
    assert "Orders that will be cancelled" in dialog


def test_who_may_halt_may_not_flatten(held):
    held(2)
    trader = person("tom", "view_tradingcontrol", "halt_trading", "exit_position")

    answer = trader.post(
        reverse("admin:risk_tradingcontrol_flatten", args=[paper_switch().pk]),
        {**SENT, "reason": "a rumour", "word": "FLATTEN", "token": "t"},
    )

    assert answer.status_code == 403
    assert not Flatten.objects.exists()


def test_a_flatten_is_ended_with_a_reason(act, held, paper):
    held(2)
    paper.fault("place", "hold_fill")
    act("risk_tradingcontrol_flatten", paper_switch(), reason="a rumour", word="FLATTEN", token="t")
    wish = Flatten.objects.get()

    answer = act("orders_flatten_end", wish, reason="only a rumour")
    again = act("orders_flatten_end", wish, reason="only a rumour")

    wish.refresh_from_db()
    assert (wish.state, wish.ended_by) == ("ENDED", "tara")
    assert told(answer).endswith("Flatten by tara: ended by a person.")
    assert "It has ended" in told(again)


def test_its_page_shows_each_position_with_its_exits(act, tara, held, paper):
    held(2)
    paper.fault("place", "refuse_input")
    act("risk_tradingcontrol_flatten", paper_switch(), reason="a rumour", word="FLATTEN", token="t")

    page = tara.get(reverse("admin:orders_flatten_change", args=[Flatten.objects.get().pk])).content.decode()

    order = Order.objects.get(is_exit=True)
    assert reverse("admin:orders_order_change", args=[order.pk]) in page
    assert "Rejected" in page


def test_reduce_only_cancels_entries_and_says_so(act, resting):
    order = resting()

    answer = act("risk_tradingcontrol_reduce_only", paper_switch(), reason="big news")

    order.refresh_from_db()
    assert order.cancel_reason == "reduce only: big news"
    assert "Cancels asked for: 1" in told(answer)


def test_reduce_only_works_without_a_broker(act, settings):
    settings.PAPER_KITE_URL = ""

    act("risk_tradingcontrol_reduce_only", paper_switch(), reason="big news")

    assert paper_switch().state == "REDUCE_ONLY"


def test_it_is_offered_again_while_an_entry_rests_that_nobody_cancels(tara, resting):
    resting()
    TradingControl.objects.update(state="REDUCE_ONLY")
    page, offer = reverse("admin:risk_tradingcontrol_change", args=[paper_switch().pk]), "/reduce_only/"

    before = tara.get(page).content.decode()
    Order.objects.update(cancel_requested_at="2026-01-01T00:00Z")
    after = tara.get(page).content.decode()

    assert (offer in before.replace("reduce-only", "reduce_only"), offer in after) == (True, False)


def test_the_section_says_what_works_and_the_brokers_own_channels(act, tara, desk, resting, held, paper, settings):
    settings.BROKER_CALL_AND_TRADE = "080 1234"
    assert "Nothing is unfinished, and no position is open." in section(tara)
    held(2)
    order = resting()
    paper.fault("cancel", "error_503")
    halt(desk, by="priya", reason="enough")

    page = section(tara)

    for words in (order.broker_order_id, "by priya", "1 ×, last", "kite.zerodha.com/orders", "080 1234", "RELIANCE"):
        assert words in page
    order.refresh_from_db()
    assert order.cancel_answer in page.replace("&#x27;", "'").replace("&quot;", '"')
    whole = tara.get(reverse("admin:risk_tradingcontrol_change", args=[paper_switch().pk])).content.decode()
    assert 'id="still-working"' in whole
    assert order.broker_order_id in whole


def test_the_section_asks_no_more_for_thirty_orders_than_for_one(tara, resting, held, django_assert_max_num_queries):
    held(1)
    order = resting()
    for number in range(30):
        order.pk, order.client_order_id, order.broker_order_id, order.decision = None, f"C{number}", f"S{number}", None
        order.save(force_insert=True)
    TradingControl.objects.update(state="HALTED")

    with django_assert_max_num_queries(9):  # the session and the user among them
        assert "Unfinished orders: 31" in section(tara)


def test_the_section_is_for_those_who_may_see_the_switch(vera, db):
    assert Client().get(reverse("admin:still_working")).status_code == 401
    assert person("nils").get(reverse("admin:still_working")).status_code == 403
    assert vera.get(reverse("admin:still_working")).status_code == 200
