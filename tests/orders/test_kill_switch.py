"""
The kill switch pressed between any two writes of an order's path: nothing that reached the broker goes on working.

The paper server's journal is the witness: whatever it accepted was cancelled, or had filled before the cancel came.
"""

from __future__ import annotations

import threading
from datetime import timedelta
from decimal import Decimal

import pytest

from orders import execution
from orders.deciding import OrderDenied, decide_manual
from orders.execution import doubt_overdue, halt, submit
from orders.models import Order, Position
from orders.reconciliation import carry_out_cancels, reconcile
from orders.worker import Worker
from risk import control as switch
from risk.models import TradingControl
from tests.conftest import open_the_limits

from .stand_ins import BookGateway
from .test_execution import Sender

pytestmark = pytest.mark.usefixtures("noon")


class Pressed(Sender):
    """The desk's gateway; trading is halted before, or right after, an order goes out through it."""

    def __init__(self, gateway, desk, moment):
        super().__init__(gateway, lambda _request: self.press("claimed, not sent"))
        self.desk, self.moment = desk, moment

    def place(self, request, *, send_by):
        try:
            return super().place(request, send_by=send_by)
        finally:
            self.press("sent, answer not written")

    def press(self, moment):
        if moment == self.moment:
            halt(self.desk, by="priya", reason="enough")


@pytest.fixture
def press(desk, wish, wired, monkeypatch):
    """Send an order that rests, and halt trading at the named moment of it."""
    open_the_limits()

    def go(moment):
        broker = Pressed(desk.gateway, desk, moment)
        order = decide_manual(desk, wish(limit_price=Decimal("1390.00")))
        broker.press("decided, not claimed")
        real_bind = execution._bind

        def bind(*arguments):
            broker.press("answer about to be written")
            real_bind(*arguments)
            broker.press("answer written")

        monkeypatch.setattr(execution, "_bind", bind)
        submit(wired(desk, gateway=broker), order)
        broker.press("submitted")
        return order

    return go


MOMENTS = [
    "decided, not claimed",
    "claimed, not sent",
    "sent, answer not written",
    "answer about to be written",
    "answer written",
    "submitted",
]


def settle_down(desk, clock):
    """Take the tracker's turns until nothing is left to do, the absence window included."""
    for seconds in (0, 3, 3, 125, 3, 3):
        clock.advance(seconds=seconds)
        doubt_overdue(desk)
        carry_out_cancels(desk)
        reconcile(desk)


def what_became_of_orders(paper):
    return [row["event"] for row in paper.journal() if row["event"] != "fault"]


@pytest.mark.parametrize("moment", MOMENTS)
def test_what_was_accepted_is_cancelled_without_waiting_for_anybodys_turn(press, paper, moment):
    order = press(moment)

    events = [row["event"] for row in paper.journal()]
    assert events == ([] if moment == "decided, not claimed" else ["accepted", "cancelled"])
    assert order.status in {"WITHDRAWN", "OPEN"}  # only the book says that it was cancelled


@pytest.mark.parametrize("moment", [moment for moment in MOMENTS if not moment.startswith("answer ")])
@pytest.mark.parametrize("fault", ["drop_after", "drop_before", "error_400_timeout_after", "refuse_margin"])
def test_an_order_without_a_trustworthy_answer_ends_too(press, desk, paper, clock, moment, fault):
    paper.fault("place", fault)

    order = press(moment)
    settle_down(desk, clock)

    order.refresh_from_db()
    events = what_became_of_orders(paper)
    assert events in ([], ["accepted", "cancelled"])
    assert not order.is_unfinished
    assert (order.status == "CANCELLED") == bool(events)


@pytest.mark.parametrize("moment", MOMENTS[1:])
@pytest.mark.parametrize("refusal", ["drop_before", "drop_after", "error_503", "error_429", "refuse_input", "token"])
def test_a_cancel_that_comes_to_nothing_is_repeated_until_the_book_confirms(press, desk, paper, clock, moment, refusal):
    paper.fault("cancel", refusal, times=2)

    order = press(moment)
    settle_down(desk, clock)

    order.refresh_from_db()
    assert order.status == "CANCELLED"
    assert paper.accepted() == [order.broker_order_id]


@pytest.mark.parametrize("moment", MOMENTS[1:])
def test_a_fill_that_crosses_the_cancel_is_counted(press, desk, paper, clock, monkeypatch, moment):
    real = execution.carry_out_cancel

    def crossed(*arguments):
        paper.set_price("NSE:RELIANCE", "1390.00")
        return real(*arguments)

    monkeypatch.setattr(execution, "carry_out_cancel", crossed)

    order = press(moment)
    settle_down(desk, clock)

    order.refresh_from_db()
    assert (order.status, order.filled_quantity) == ("FILLED", 1)
    assert Position.objects.get().quantity == 1


def test_a_sender_that_died_under_a_halt_leaves_an_order_that_is_found_and_cancelled(desk, wish, wired, paper, clock):
    class Died(BaseException):
        pass

    class Dying(Sender):
        def place(self, request, *, send_by):
            super().place(request, send_by=send_by)
            raise Died

    open_the_limits()
    order = decide_manual(desk, wish(limit_price=Decimal("1390.00")))
    with pytest.raises(Died):
        submit(wired(desk, gateway=Dying(desk.gateway, lambda _: None)), order)
    halt(desk, by="priya", reason="enough")
    assert [row["event"] for row in paper.journal()] == ["accepted"]  # its id is not known yet

    reconcile(desk)

    assert [row["event"] for row in paper.journal()] == ["accepted", "cancelled"]


def test_a_halt_whose_process_died_after_it_is_finished_though_it_is_dated_before_the_order(desk, resting, paper):
    """By a machine whose clock is late, or because it waited for the lock while the order was decided."""
    order = resting()
    switch.halt("PAPER", by="priya", reason="enough", now=order.created_at - timedelta(seconds=3))
    ready = threading.Event()
    ready.set()

    Worker(desk, ready=ready, sent=lambda: None).turn()

    assert [row["event"] for row in paper.journal()] == ["accepted", "cancelled"]


def test_a_halt_whose_process_died_after_it_is_finished_though_the_book_cannot_be_read(desk, resting, paper):
    resting()
    switch.halt("PAPER", by="priya", reason="enough", now=desk.clock())

    Worker(desk, ready=threading.Event(), sent=lambda: None).turn()

    assert [row["event"] for row in paper.journal()] == ["accepted", "cancelled"]


def test_a_late_appearance_after_a_halt_is_cancelled(desk, wish, wired, paper, clock):
    open_the_limits()
    paper.fault("place", "drop_after")
    order = submit(desk, decide_manual(desk, wish(limit_price=Decimal("1390.00"))))
    halt(desk, by="priya", reason="enough")
    clock.advance(seconds=125)
    for _ in range(2):
        reconcile(wired(desk, gateway=BookGateway()))
    order.refresh_from_db()
    assert order.status == "NOT_PLACED"

    settle_down(desk, clock)

    order.refresh_from_db()
    assert order.status == "CANCELLED"
    assert what_became_of_orders(paper) == ["accepted", "cancelled"]


def test_nothing_is_decided_after_the_press(press, desk, wish, paper):
    press("submitted")
    before = paper.accepted()

    with pytest.raises(OrderDenied):
        decide_manual(desk, wish())

    assert paper.accepted() == before
    assert TradingControl.objects.get(mode="PAPER").state == "HALTED"
    assert Order.objects.count() == 1
