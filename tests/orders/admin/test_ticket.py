"""The ticket: judged while it is written, reviewed in words, sent once."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from orders.models import Decision, Instrument, Order
from risk import control
from risk.models import Mode
from tests.conftest import open_the_limits
from tests.risk.admin.staff import person, told, viewer

pytestmark = pytest.mark.django_db

ASKED = {"symbol": "reliance", "side": "BUY", "order_type": "LIMIT", "price": "1405", "quantity": "1"}


@pytest.fixture
def review(tara, wired_desk) -> Any:
    """Review an order as Tara and return what the review would send."""

    def reviewed(**changes: str) -> dict[str, str]:
        page = tara.post(reverse("admin:orders_ticket_review"), {**ASKED, **changes})
        shown = page.context["rehearsal"].proposed
        price = {} if shown.limit_price is None else {"price": str(shown.limit_price)}
        return {
            "token": page.context["token"],
            "symbol": f"{shown.exchange}:{shown.symbol}",
            "side": shown.action.value,
            "order_type": shown.order_type.value,
            "quantity": str(shown.quantity),
            **price,
        }

    return reviewed


@pytest.fixture
def wired_desk(desk):
    open_the_limits()
    return desk


def panel(client: Any, **changes: str) -> str:
    return client.get(reverse("admin:orders_ticket_panel"), {**ASKED, **changes}).content.decode()


def test_the_panel_shows_the_verdict_the_price_and_the_room_and_writes_nothing(tara, wired_desk):
    shown = panel(tara)

    assert "BUY 1 NSE:RELIANCE LIMIT ₹1,405.00 = ₹1,405.00" in shown
    assert "Approved" in shown
    assert "₹1,400.00" in shown
    assert "Would pass at most" in shown
    assert (Order.objects.count(), Decision.objects.count()) == (0, 0)


def test_the_panel_names_what_refuses(tara, wired_desk):
    control.halt(Mode.PAPER, by="priya", reason="odd fills", now=wired_desk.clock())

    shown = panel(tara)

    assert "Denied" in shown
    assert "trading is halted" in shown.lower()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"quantity": ""}, "Give either shares or rupees"),
        ({"amount": "500"}, "Give either shares or rupees"),
        ({"price": ""}, "A LIMIT order has a price"),
        ({"symbol": "NOSUCH"}, "NSE:NOSUCH is not in the broker&#x27;s list"),
        ({"quantity": "0"}, "The quantity is 0"),
        ({"quantity": "-3"}, "The quantity is -3"),
        ({"quantity": "", "amount": "1000"}, "₹1,000.00 does not pay one lot of 1 at ₹1,405.00"),
        ({"quantity": "", "amount": "-1"}, "-₹1.00 does not pay"),
        ({"price": "NaN"}, "Enter a number"),
        ({"price": "0"}, "The limit price is 0"),
    ],
)
def test_what_is_missing_or_wrong_is_said_and_nothing_can_be_reviewed(tara, wired_desk, changes, said):
    assert said in panel(tara, **changes)

    page = tara.post(reverse("admin:orders_ticket_review"), {**ASKED, **changes})
    assert "token" not in page.context
    assert Order.objects.count() == 0


@pytest.mark.parametrize(("rupees", "shares"), [("1405", 1), ("2809.99", 1), ("2810", 2)])
def test_rupees_buy_as_many_shares_as_they_pay(review, rupees, shares):
    assert review(quantity="", amount=rupees)["quantity"] == str(shares)


def test_a_reviewed_order_is_sent_once_however_often_it_is_confirmed(tara, review):
    confirmed = review()

    first = tara.post(reverse("admin:orders_ticket_send"), confirmed)
    second = tara.post(reverse("admin:orders_ticket_send"), confirmed)

    order = Order.objects.get()
    assert order.status == "OPEN"
    assert first.url == second.url == reverse("admin:orders_order_change", args=[order.pk])
    assert "sent already" in told(second)
    assert LogEntry.objects.get().change_message == "Placed by hand: BUY 1 NSE:RELIANCE LIMIT at ₹1,405.00"


def test_a_review_that_was_sent_does_not_make_another_order_of_other_terms(tara, review):
    confirmed = review()
    tara.post(reverse("admin:orders_ticket_send"), confirmed)

    tara.post(reverse("admin:orders_ticket_send"), {**confirmed, "quantity": "3"})

    assert Order.objects.get().quantity == 1


def test_two_reviews_are_two_orders(tara, review):
    for confirmed in (review(), review(price="1390")):
        tara.post(reverse("admin:orders_ticket_send"), confirmed)

    assert set(Order.objects.values_list("price", flat=True)) <= {1405, 1390}
    assert Order.objects.count() + Decision.objects.filter(outcome="DENIED").count() == 2


def test_what_the_desk_denies_after_the_review_shows_the_decision(tara, review, wired_desk):
    confirmed = review()
    control.halt(Mode.PAPER, by="priya", reason="odd fills", now=wired_desk.clock())

    answer = tara.post(reverse("admin:orders_ticket_send"), confirmed)

    assert Order.objects.count() == 0
    assert answer.url == reverse("admin:orders_decision_change", args=[Decision.objects.get().pk])
    assert "Nothing was sent" in told(answer)


def test_a_denied_review_has_no_button_to_send(tara, wired_desk):
    control.halt(Mode.PAPER, by="priya", reason="odd fills", now=wired_desk.clock())

    page = tara.post(reverse("admin:orders_ticket_review"), ASKED).content.decode()

    assert "Send: BUY" not in page
    assert "The risk desk says no" in page


def test_a_market_order_has_no_price_whatever_the_form_holds(review):
    assert "price" not in review(order_type="MARKET", price="1405")


def test_symbols_are_offered_by_symbol_first_and_then_by_name(tara, desk):
    Instrument.objects.filter(symbol="TCS").update(name="REL HOLDINGS")

    offered = tara.get(reverse("admin:orders_ticket_symbols"), {"symbol": "rel"}).content.decode()

    assert offered.index("NSE:RELIANCE") < offered.index("NSE:TCS")
    assert tara.get(reverse("admin:orders_ticket_symbols"), {"symbol": " "}).content.strip() == b""
    assert "BSE" not in tara.get(reverse("admin:orders_ticket_symbols"), {"symbol": "NSE:REL"}).content.decode()


@pytest.mark.parametrize("name", ["", "_panel", "_symbols", "_review", "_send"])
def test_only_who_may_place_orders_gets_the_ticket(desk, name):
    url = reverse(f"admin:orders_ticket{name}")
    for client in (viewer(), person("carl", "cancel_order")):
        assert (client.get(url).status_code, client.post(url, ASKED).status_code) == (403, 403)


@pytest.mark.parametrize("name", ["_review", "_send"])
def test_nothing_is_sent_by_opening_an_address(tara, desk, name):
    answer = tara.get(reverse(f"admin:orders_ticket{name}"), ASKED)

    assert answer.url == reverse("admin:orders_ticket")
    assert Order.objects.count() == 0


def test_the_ticket_can_be_opened_with_a_symbol(tara, desk):
    page = tara.get(reverse("admin:orders_ticket"), {"symbol": "NSE:INFY", "side": "SELL"})

    assert page.context["form"]["symbol"].value() == "NSE:INFY"
    assert page.context["form"]["side"].value() == "SELL"


def test_the_panel_asks_few_questions(tara, wired_desk, held):
    held(2)
    with CaptureQueriesContext(
        connection,
    ) as asked:
        panel(tara)

    assert len(asked) <= 30
