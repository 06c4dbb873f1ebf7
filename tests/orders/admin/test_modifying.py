"""The dialog that modifies a working order: what it shows, what it refuses, and what the order's page says after."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.urls import reverse

from orders.models import Order, OrderModification
from orders.reconciliation import reconcile
from tests.orders.together import Together, held_up
from tests.risk.admin.staff import SENT, person, told, traces

DIALOG = "orders_order_modify"
TO_1395 = {
    "quantity": 4,
    "price": "1395",
    "reason": "nearer",
    "shown_quantity": 3,
    "shown_price": "1390",
    "token": "form-9",
}


@pytest.fixture
def three(resting):
    return resting(quantity=3)


def page_of(client, order):
    return client.get(reverse("admin:orders_order_change", args=[order.pk])).content.decode()


def test_an_order_is_modified_by_one_call_of_the_use_case_and_leaves_a_trace(act, desk, three):
    answer = act(DIALOG, three, **TO_1395)
    assert answer["HX-Redirect"] == reverse("admin:orders_order_change", args=[three.pk])
    assert told(answer) == "The broker took the modification to 4 at ₹1,395.00. Its book will show the terms."

    reconcile(desk)

    three.refresh_from_db()
    modification = OrderModification.objects.get()
    assert (three.quantity, three.price) == (4, Decimal(1395))
    assert (modification.asked_by, modification.reason, modification.state) == ("tara", "nearer", "TOOK_EFFECT")
    assert traces() == ["Modification to 4 at 1395.00 instead of 3 at 1390.00: nearer"]


@pytest.mark.django_db(transaction=True)
def test_it_runs_outside_every_transaction(act, three):
    act(DIALOG, three, **TO_1395)

    assert OrderModification.objects.get().state == "ACCEPTED"


def test_the_dialog_shows_the_order_the_last_price_and_what_it_is_worth(tara, three):
    dialog = tara.get(reverse(f"admin:{DIALOG}", args=[three.pk])).content.decode()

    assert "BUY 3 NSE:RELIANCE LIMIT at ₹1,390.00" in dialog
    assert "₹1,400.00, 0 s old" in dialog
    assert "₹4,170.00 (3 × ₹1,390.00)" in dialog
    assert 'name="quantity" value="3"' in dialog
    assert 'name="price" value="1390"' in dialog


def test_a_modification_that_was_turned_away_says_that_it_may_be_asked_for_again(act, tara, three, paper):
    paper.fault("modify", "error_429")

    answer = act(DIALOG, three, **TO_1395)

    assert "was refused by the broker for its rate" in told(answer)
    assert "then modify it again" in told(answer)


def test_the_page_shows_its_modifications(act, tara, three, paper):
    paper.fault("modify", "drop_after")

    answer = act(DIALOG, three, **TO_1395)

    assert "is in doubt" in told(answer)
    page = page_of(tara, three)
    assert "<s>3 at ₹1,390.00</s> → <b>4 at ₹1,395.00</b>" in page
    assert "In doubt" in page
    assert reverse("admin:orders_decision_change", args=[OrderModification.objects.get().decision_id]) in page


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"quantity": 3, "price": "1390"}, "The order has this quantity and price already."),
        ({"shown_price": "1380"}, "The order is for 3 at 1390.00 by now, not for 3 at 1380.00 as was shown"),
        ({"quantity": 200_000}, "ORDER_QTY_EXCEEDED"),
    ],
)
def test_a_refusal_is_told_and_nothing_is_sent(act, three, paper, fields, sentence):
    answer = act(DIALOG, three, **{**TO_1395, **fields})

    assert sentence in told(answer)
    assert not [row for row in paper.journal() if row["event"] == "modified"]
    assert traces() == []


@pytest.mark.parametrize("lacking", ["reason", "quantity", "price", "token", "shown_price"])
def test_every_answer_is_needed(act, three, lacking):
    answer = act(DIALOG, three, **{**TO_1395, lacking: ""})

    hidden = lacking in {"token", "shown_price"}
    assert hidden or "This field is required" in answer.content.decode()
    assert not OrderModification.objects.exists()


def test_what_the_broker_refuses_is_told_in_its_words(act, three, paper):
    paper.fault("modify", "refuse_margin")

    assert "The order was not modified: refused by the broker" in told(act(DIALOG, three, **TO_1395))


def test_the_action_is_offered_for_what_can_be_modified_and_to_whom_may(tara, three, held):
    url = reverse(f"admin:{DIALOG}", args=[three.pk])
    trader, other = person("tom", "view_order", "modify_order"), person("olga", "view_order", "cancel_order")
    assert url in page_of(trader, three)
    assert url not in page_of(other, three)
    assert other.post(url, {**SENT, **TO_1395}).status_code == 403

    held(1)
    filled = Order.objects.get(status="FILLED")
    assert reverse(f"admin:{DIALOG}", args=[filled.pk]) not in page_of(tara, filled)
    dialog = tara.get(reverse(f"admin:{DIALOG}", args=[filled.pk])).content.decode()
    assert "it is filled: only what works at the broker is modified" in dialog


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("tokens", [("same", "same"), ("one", "other")])
def test_two_clicks_at_once_are_one_modification(three, paper, tokens):
    clients = [person("tara", superuser=True), person("tom", superuser=True)]
    url = reverse(f"admin:{DIALOG}", args=[three.pk])

    with held_up("orders_decision") as wait_for:
        both = Together(
            *[
                lambda client=client, token=token: client.post(url, {**SENT, **TO_1395, "token": token})
                for client, token in zip(clients, tokens, strict=True)
            ]
        )
        wait_for(2)
    answers = both.join()

    assert [answer.status_code for answer in answers] == [302, 302]
    assert OrderModification.objects.count() == 1
    assert len([row for row in paper.journal() if row["event"] == "modified"]) == 1
