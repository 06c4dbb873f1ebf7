"""Staff at the same moment: double clicks over HTTP, two persons on one order or position, and the broker meanwhile."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.urls import reverse

from orders import by_hand, execution
from orders.broker.kite import KiteGateway
from orders.by_hand import HandFill, MarkRefused, exit_position, mark_filled
from orders.deciding import OrderDenied, decide, decide_manual
from orders.desk import Desk
from orders.execution import cancel, submit
from orders.models import Fill, Order, Position, Signal
from orders.reconciliation import carry_out_cancels, reconcile
from orders.worker import Worker
from tests.conftest import open_the_limits
from tests.risk.admin.staff import SENT, person, told

from .stand_ins import BookGateway, report_of, trade_of
from .together import Together, held_up

pytestmark = pytest.mark.django_db(transaction=True)


class Died(BaseException):
    """The process ends here, as kill -9 would end it."""


def post(client, action, row, **fields):
    return client.post(reverse(f"admin:{action}", args=[row.pk]), {**SENT, **fields}, headers={"HX-Request": "true"})


def sold(paper):
    return [row for row in paper.journal() if row["event"] == "accepted" and row["transaction_type"] == "SELL"]


def mark():
    return HandFill(token="t", quantity=1, price=Decimal(1390), by="priya", reason="contract note")


# --- Twice at once ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tokens", [("same", "same"), ("one", "other")])
def test_an_exit_clicked_twice_at_once_over_http_sells_once(held, paper, tokens):
    position = held(3)
    clients = [person("tara", superuser=True), person("tom", superuser=True)]

    with held_up("orders_decision") as wait_for:
        both = Together(
            *[
                lambda client=client, token=token: post(client, "orders_position_exit", position, token=token)
                for client, token in zip(clients, tokens, strict=True)
            ]
        )
        wait_for(2)
    answers = both.join()

    assert [answer.status_code for answer in answers] == [200, 200]
    assert [row["quantity"] for row in sold(paper)] == [3]
    assert Order.objects.filter(is_exit=True).count() == 1


def test_an_exit_while_a_signal_to_sell_is_decided_sells_what_is_held_once(desk, held, received, paper):
    position = held(3)
    signal = received(signal_type="SELL", cms_score=-75)

    with held_up("orders_decision") as wait_for:
        both = Together(lambda: exit_position(desk, position, token="t", by="tara"), lambda: decide(desk, signal))
        wait_for(2)
    results = both.join()
    for order in Order.objects.filter(side="SELL", status="PENDING"):
        submit(desk, order)

    assert not [each for each in results if isinstance(each, Exception) and not isinstance(each, OrderDenied)]
    assert sum(row["quantity"] for row in sold(paper)) == 3


def test_a_cancel_clicked_twice_at_once_is_one_wish(desk, resting, paper):
    order = resting()
    clients = [person("tara", superuser=True), person("tom", superuser=True)]

    with held_up("orders_orderevent") as wait_for:
        both = Together(
            *[
                lambda client=client: post(client, "orders_order_cancel", order, reason="changed my mind")
                for client in clients
            ]
        )
        wait_for(2)
    answers = both.join()
    reconcile(desk)

    assert [answer.status_code for answer in answers] == [200, 200]
    order.refresh_from_db()
    assert order.status == "CANCELLED"
    assert order.events.filter(note__startswith="cancel asked for").count() == 1


def test_a_fill_marked_twice_at_once_by_one_form_counts_once(desk, in_doubt):
    order = in_doubt()
    copies = [Order.objects.get(pk=order.pk), Order.objects.get(pk=order.pk)]

    with held_up("orders_fill") as wait_for:
        both = Together(*[lambda copy=copy: mark_filled(desk, copy, mark()) for copy in copies])
        wait_for(2)
    results = both.join()

    assert not [each for each in results if isinstance(each, Exception)]
    assert (Fill.objects.count(), Position.objects.get().quantity) == (1, 1)


def test_a_past_day_closed_twice_at_once_is_closed_once(desk, in_doubt, wired, clock):
    order = in_doubt()
    clock.advance(days=1)
    there = wired(desk, gateway=BookGateway())
    copies = [Order.objects.get(pk=order.pk), Order.objects.get(pk=order.pk)]

    with held_up("orders_orderevent") as wait_for:
        both = Together(
            *[lambda copy=copy: by_hand.close_past_day(there, copy, by="tara", reason="seen") for copy in copies]
        )
        wait_for(2)
    results = both.join()

    assert sorted(type(each).__name__ for each in results) == ["CloseRefused", "Order"]
    assert order.events.filter(after="NOT_PLACED").count() == 1


# --- The broker meanwhile ---------------------------------------------------------------------------------------------


def test_a_fill_is_not_marked_when_the_order_came_to_work_while_the_book_was_read(desk, in_doubt, wired):
    """The book read for the mark lacked it; before the mark was written, another read showed it as working."""
    order = in_doubt()

    class Meanwhile(BookGateway):
        def book(self, as_of):
            before = super().book(as_of)
            reconcile(wired(desk, gateway=BookGateway(orders=[report_of(order, "OPEN")])))
            return before

    with pytest.raises(MarkRefused, match="the broker shows it as OPEN"):
        mark_filled(wired(desk, gateway=Meanwhile()), order, mark())

    assert not Fill.objects.exists()


def test_a_fill_marked_while_the_brokers_own_arrives_counts_once(desk, in_doubt, wired):
    order = in_doubt()

    class Meanwhile(BookGateway):
        def book(self, as_of):
            before = super().book(as_of)
            filled = BookGateway(orders=[report_of(order, "COMPLETE")], trades=[trade_of(order, "T1", 1)])
            reconcile(wired(desk, gateway=filled))
            return before

    mark_filled(wired(desk, gateway=Meanwhile()), order, mark())

    assert (order.filled_quantity, Position.objects.get().quantity) == (1, 1)


def test_a_cancel_that_meets_a_fill_leaves_the_fill(desk, resting, paper, monkeypatch):
    order = resting()
    real = KiteGateway.cancel

    def filled_first(gateway, broker_order_id):
        paper.set_price("NSE:RELIANCE", "1390.00")
        real(gateway, broker_order_id)

    monkeypatch.setattr(KiteGateway, "cancel", filled_first)

    post(person("tara", superuser=True), "orders_order_cancel", order, reason="changed my mind")
    reconcile(desk)

    order.refresh_from_db()
    assert (order.status, order.filled_quantity) == ("FILLED", 1)


# --- The web process dies ---------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("noon")
@pytest.mark.parametrize(
    ("owner", "name", "when", "sent", "end"),
    [
        (by_hand, "submit", "before", 0, "WITHDRAWN"),
        (KiteGateway, "place", "before", 0, "NOT_PLACED"),
        (KiteGateway, "place", "after", 1, "FILLED"),
        (execution, "_bind", "before", 1, "FILLED"),
        (execution, "_bind", "after", 1, "FILLED"),
    ],
)
def test_an_exit_whose_process_died_is_finished_or_withdrawn_by_the_executor(
    desk, held, paper, clock, monkeypatch, owner, name, when, sent, end
):
    monkeypatch.setattr(Desk, "from_settings", lambda: desk)  # the page goes by the same clock
    position, real = held(2), getattr(owner, name)

    def die(*arguments, **named):
        if when == "after":
            real(*arguments, **named)
        raise Died

    with monkeypatch.context() as dying:
        dying.setattr(owner, name, die)
        with pytest.raises(Died):
            post(person("tara", superuser=True), "orders_position_exit", position, token="t")

    worker = Worker(desk, ready=None, sent=lambda: None)
    for seconds in (6, 7, 120, 1):
        clock.advance(seconds=seconds)
        worker._finish_what_was_begun()
        reconcile(desk)
    again = post(person("tom", superuser=True), "orders_position_exit", position, token="t")  # the browser's retry

    assert (len(sold(paper)), Order.objects.get(is_exit=True).status) == (sent, end)
    assert again.status_code == 200
    assert end.lower().replace("_", " ") in told(again)


def test_a_cancel_whose_process_died_after_the_wish_is_carried_out_by_the_tracker(desk, resting, paper, monkeypatch):
    order = resting()

    def die(*_):
        raise Died

    with monkeypatch.context() as dying:
        dying.setattr(execution, "carry_out_cancel", die)
        with pytest.raises(Died):
            cancel(desk, order, by="tara", reason="changed my mind")
    reconcile(desk)
    carry_out_cancels(desk)
    reconcile(desk)

    order.refresh_from_db()
    assert order.status == "CANCELLED"


def test_a_form_denied_and_sent_again_makes_one_order_when_it_may_pass(desk, wish, paper):
    open_the_limits(daily_trades_max=0)
    form = wish()
    for _ in range(2):
        with pytest.raises(OrderDenied):
            by_hand.place(desk, form)
    open_the_limits()

    first, second = by_hand.place(desk, form), by_hand.place(desk, form)

    assert first == second
    assert len(paper.accepted()) == 1


def test_a_form_whose_order_the_broker_refused_is_not_sent_again(desk, wish, paper):
    open_the_limits()
    form = wish()
    paper.fault("place", "refuse_margin")

    first, second = by_hand.place(desk, form), by_hand.place(desk, form)

    assert (first.status, second) == ("REJECTED", first)
    assert paper.accepted() == []
    assert Signal.objects.count() == 0
    assert decide_manual(desk, form) == first
