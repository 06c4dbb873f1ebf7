"""
429 at the worst moment: an exit survives it, nothing is sent twice, and many cancels keep the broker's pace.

That an order answered 429 was not placed is an inference. So an exit goes again only when the broker's book bears it
out: for a signal by two books begun five seconds later, for a person by one read there and then.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db.models import F

from orders import by_hand
from orders.adjusting import AdjustmentRefused, adjust
from orders.adjusting import Wish as AdjustmentWish
from orders.broker.gateway import BrokerUnreachable, TooManyRequests
from orders.by_hand import NothingToExit, exit_position
from orders.deciding import OrderDenied, decide
from orders.execution import cancel_all, submit
from orders.models import Adjustment, Order, Position, Signal
from orders.modifying import Wish, modify
from orders.reconciliation import carry_out_cancels, reconcile
from orders.rejections import rejections_of
from orders.tracker import Tracker
from risk import control as switch
from risk.engine.facts import Side
from risk.models import Incident, RiskSettings, TradingControl
from tests.conftest import open_the_limits, switch_on

from .paper.paper_process import until
from .still_cast import clock, held, still

pytestmark = pytest.mark.usefixtures("noon")

__all__ = ["clock", "held", "still"]

SELL = {"signal_type": "SELL", "cms_score": -75.0}


@pytest.fixture
def turned_away(still, received, paper):
    """Decide a signal to sell, and have its order answered by the fault."""

    def go(fault="error_429", **changes):
        signal = received(**{**SELL, **changes.pop("signal", {})})
        order = decide(still, signal)
        assert order is not None
        paper.fault("place", fault, times=1, **changes)
        submit(still, order)
        assert order.status == "REJECTED"
        signal.refresh_from_db()
        return signal, order

    return go


def read_after(desk, clock, seconds, *, times=2):
    for _ in range(times):
        clock.advance(seconds=seconds)
        reconcile(desk)


# --- The breakers ----------------------------------------------------------------------------------------------------


def test_what_was_turned_away_is_no_rejection_and_breaks_no_streak(still, paper, pending, clock):
    RiskSettings.objects.update(reject_streak_max=2, rejections_max=2)
    for symbol, fault in (("RELIANCE", "refuse_margin"), ("INFY", "error_429")):
        order = pending(symbol=symbol)
        paper.fault("place", fault, times=1)
        submit(still, order)
        clock.advance(seconds=1)

    assert rejections_of("PAPER", now=clock()) == (1, 1)
    assert TradingControl.objects.get(mode="PAPER").state == "ACTIVE"

    paper.fault("place", "refuse_margin", times=1)
    submit(still, pending(symbol="TCS"))

    assert rejections_of("PAPER", now=clock() - timedelta(seconds=1)) == (0, 0)  # told, and counted anew
    assert TradingControl.objects.get(mode="PAPER").state == "REDUCE_ONLY"


@pytest.mark.parametrize(("first", "stops"), [("error_429", True), ("refuse_input", False)])
def test_a_modification_turned_away_after_an_order_was_is_the_second_in_a_row(
    still, resting, paper, wish, first, stops
):
    order = resting(quantity=3)
    paper.fault("place", first, times=1)
    by_hand.place(still, wish(symbol="INFY"))
    assert TradingControl.objects.get(mode="PAPER").auto_trading
    paper.fault("modify", "error_429", times=1)

    farther = Wish(token="m", quantity=None, price=Decimal("1389.00"), by="priya", reason="x")
    assert modify(still, order, farther).was_turned_away

    assert TradingControl.objects.get(mode="PAPER").auto_trading is not stops
    assert Incident.objects.filter(kind="RATE_REFUSED").exists() is stops


# --- Nobody knows yet whether it was true ----------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["error_429", "error_429_after"])
def test_an_entry_that_was_turned_away_takes_its_room_until_the_book_bears_it_out(still, wish, paper, clock, fault):
    """Four and four at 1,400.00 are more than 10,000.00 INR."""
    open_the_limits(position_value_max=Decimal(10_000))
    paper.fault("place", fault, times=1)
    first = by_hand.place(still, wish(quantity=4, limit_price=Decimal("1390.00")))
    clock.advance(seconds=3)

    with pytest.raises(OrderDenied, match="POSITION_VALUE_EXCEEDED"):
        by_hand.place(still, wish(quantity=4, limit_price=Decimal("1390.00")))

    read_after(still, clock, 6, times=3)
    first.refresh_from_db()
    assert first.status == ("REJECTED" if fault == "error_429" else "CANCELLED")
    assert by_hand.place(still, wish(quantity=4, limit_price=Decimal("1390.00"))).status == "OPEN"


def test_an_entry_that_was_turned_away_is_no_order_more(still, wish, paper, clock):
    open_the_limits(open_orders_max=1, symbol_open_orders_max=1)
    paper.fault("place", "error_429", times=1)
    by_hand.place(still, wish(limit_price=Decimal("1390.00")))
    clock.advance(seconds=3)

    assert by_hand.place(still, wish(limit_price=Decimal("1390.00"))).status == "OPEN"


@pytest.mark.parametrize(("fault", "end"), [("error_429", "REFUSED"), ("error_429_after", "TOOK_EFFECT")])
def test_a_modification_that_was_turned_away_counts_until_the_book_bears_it_out(
    still, resting, wish, paper, clock, fault, end
):
    """Six and three at 1,400.00 are more than 10,000.00 INR; three and three are not."""
    order = resting(quantity=3)
    open_the_limits(position_value_max=Decimal(10_000))
    paper.fault("modify", fault, times=1)
    modification = modify(still, order, Wish(token="m", quantity=6, price=None, by="priya", reason="x"))
    assert not Incident.objects.exists()
    assert TradingControl.objects.get(mode="PAPER").auto_trading
    clock.advance(seconds=3)

    with pytest.raises(OrderDenied, match="POSITION_VALUE_EXCEEDED"):
        by_hand.place(still, wish(quantity=3, limit_price=Decimal("1390.00")))

    read_after(still, clock, 6, times=2)
    modification.refresh_from_db()
    assert modification.state == end
    if end == "REFUSED":
        assert by_hand.place(still, wish(quantity=3, limit_price=Decimal("1390.00"))).status == "OPEN"


@pytest.mark.parametrize(("seconds", "state"), [(5, "IN_DOUBT"), (5.1, "REFUSED")])
def test_a_book_bears_a_modification_s_429_out_five_seconds_later(still, resting, paper, clock, seconds, state):
    order = resting(quantity=3)
    paper.fault("modify", "error_429", times=1)
    modification = modify(still, order, Wish(token="m", quantity=6, price=None, by="priya", reason="x"))

    read_after(still, clock, seconds, times=1)

    modification.refresh_from_db()
    assert modification.state == state


def test_shares_whose_sale_was_turned_away_are_not_sold_by_another_order(still, held, wish, paper, clock):
    held(3)
    paper.fault("place", "error_429_after", times=1)
    sale = wish(side=Side.SELL, quantity=3, limit_price=Decimal("1450.00"))
    by_hand.place(still, sale)
    clock.advance(seconds=3)

    with pytest.raises(OrderDenied, match="SHORT_NOT_ALLOWED"):
        by_hand.place(still, replace(sale, token="again"))


def test_a_position_is_not_restated_while_a_429_may_have_been_a_lie(still, held, wish, paper, clock):
    position = held(3)
    paper.fault("place", "error_429_after", times=1)
    by_hand.place(still, wish(side=Side.SELL, quantity=3, limit_price=Decimal("1395.00")))
    correction = AdjustmentWish(
        token="a", kind=Adjustment.Kind.CORRECTION, by="asha", reason="x", quantity=5, price=Decimal(1400)
    )

    with pytest.raises(AdjustmentRefused, match="unfinished"):
        adjust(still, position, correction)


# --- A signal's exit -------------------------------------------------------------------------------------------------


def test_an_exit_that_was_turned_away_goes_again_when_two_books_lack_it(still, held, turned_away, paper, clock):
    held(3)
    signal, first = turned_away()
    assert signal.status == "APPROVED"

    clock.advance(seconds=5)
    reconcile(still)  # begun no later than the window
    reconcile(still)
    signal.refresh_from_db()
    assert signal.status == "APPROVED"

    clock.advance(seconds=0.1)
    reconcile(still)
    signal.refresh_from_db()
    assert signal.status == "APPROVED"  # one book is not enough

    clock.advance(seconds=1)
    reconcile(still)
    signal.refresh_from_db()
    assert (signal.status, signal.reason) == (
        "RECEIVED",
        "to be decided again: refused by the broker for its rate: Too many requests",
    )

    second = submit(still, decide(still, signal))
    reconcile(still)
    second.refresh_from_db()
    assert (second.status, second.attempt, second.quantity) == ("FILLED", 2, 3)
    assert second.client_order_id != first.client_order_id
    assert Position.objects.get().quantity == 0


def test_a_second_attempt_is_not_followed_by_another_for_the_first_one_s_absence(still, held, turned_away, clock):
    held(3)
    signal, _ = turned_away(signal={"quantity": 1})
    read_after(still, clock, 6)
    signal.refresh_from_db()
    submit(still, decide(still, signal))

    read_after(still, clock, 6, times=3)

    signal.refresh_from_db()
    assert signal.status == "APPROVED"
    assert signal.orders.count() == 2
    assert Position.objects.get().quantity == 2


@pytest.mark.parametrize("fault", [{}, {"hide_seconds": 1}])
def test_a_429_that_lied_is_found_and_nothing_is_sent_a_second_time(still, held, turned_away, paper, clock, fault):
    held(3)
    placed = len(paper.accepted())
    signal, order = turned_away("error_429_after", **fault)
    hidden = bool(fault)

    for _ in range(12):
        clock.advance(seconds=0.5)
        reconcile(still)
        signal.refresh_from_db()
        assert signal.status == "APPROVED"
        if hidden and Order.objects.get(pk=order.pk).status == "REJECTED":
            until_shown(still, order)

    order.refresh_from_db()
    assert order.status == "FILLED"
    assert len(paper.accepted()) == placed + 1
    assert Position.objects.get().quantity == 0
    assert Incident.objects.get(kind="LATE_APPEARANCE").client_order_id == order.client_order_id


def until_shown(desk, order):
    def shown():
        reconcile(desk)
        return Order.objects.get(pk=order.pk).status != "REJECTED"

    until(shown)


def test_one_that_rests_after_all_is_taken_back_before_anything_else_is_sent(still, held, turned_away, paper, clock):
    held(3)
    priced = {"order_type": "LIMIT", "price": 1450.0}
    signal, order = turned_away("error_429_after", signal=priced)

    read_after(still, clock, 6, times=3)

    order.refresh_from_db()
    signal.refresh_from_db()
    assert order.status == "CANCELLED"
    assert (signal.status, signal.orders.count()) == ("APPROVED", 1)


def test_a_book_that_could_not_all_be_read_bears_nothing_out(still, held, turned_away, wired, clock):
    held(3)
    signal, _ = turned_away()

    class Unreadable:
        def book(self, as_of):
            return replace(still.gateway.book(as_of), unreadable=("a row",))

    read_after(wired(still, gateway=Unreadable()), clock, 6, times=3)

    signal.refresh_from_db()
    assert signal.status == "APPROVED"


def test_an_exit_is_tried_again_until_its_attempts_are_used_up(still, held, turned_away, paper, clock):
    held(3)
    signal, _ = turned_away()
    for _ in range(4):
        read_after(still, clock, 6)
        signal.refresh_from_db()
        switch_on(still)  # two in a row turn it off
        paper.fault("place", "error_429", times=1)
        submit(still, decide(still, signal))

    read_after(still, clock, 6)
    signal.refresh_from_db()
    assert decide(still, signal) is None

    signal.refresh_from_db()
    assert (signal.status, signal.orders.count()) == ("FAILED", 5)
    assert signal.reason.startswith("none of its 5 orders came about")
    assert Incident.objects.filter(kind="SIGNAL_FAILED").exists()


def test_an_exit_that_is_too_old_by_then_expires(still, held, turned_away, clock):
    held(3)
    signal, _ = turned_away()
    read_after(still, clock, 6, times=2)
    # As if it had come an hour ago; the clock stays on the day, whatever hour it is in Mumbai.
    Signal.objects.update(signal_at=F("signal_at") - timedelta(hours=1, seconds=1))
    signal.refresh_from_db()

    assert decide(still, signal) is None

    signal.refresh_from_db()
    assert signal.status == "EXPIRED"


def test_an_entry_that_was_turned_away_is_not_tried_again(still, paper, pending, clock):
    order = pending()
    paper.fault("place", "error_429", times=1)
    submit(still, order)

    read_after(still, clock, 6, times=3)

    order.signal.refresh_from_db()
    assert order.signal.status == "APPROVED"


def test_while_an_exit_waits_for_the_book_it_is_read_often(still, held, turned_away, wired):
    held(3)
    tracker = Tracker(wired(still, mode="LIVE"), ready=None)
    live = Tracker(still, ready=None)
    assert not Order.objects.unfinished("PAPER").exists()
    turned_away()

    assert live._is_busy()
    Order.objects.update(mode="LIVE")
    assert tracker._is_busy()


# --- A person's exit -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["form-a", "form-b"], ids=["the same form", "another form"])
def test_a_person_can_press_exit_again(still, held, paper, clock, token):
    position = held(3)
    paper.fault("place", "error_429", times=1)
    first = exit_position(still, position, token="form-a", by="priya")
    assert first.was_turned_away
    clock.advance(seconds=5)
    with pytest.raises(NothingToExit, match="only 5 seconds later the book says whether that was true"):
        exit_position(still, position, token=token, by="priya")
    clock.advance(seconds=0.1)

    second = exit_position(still, position, token=token, by="priya")
    reconcile(still)

    second.refresh_from_db()
    assert (second.status, second.quantity) == ("FILLED", 3)
    assert first.pk != second.pk
    assert second.attempt == (2 if token == "form-a" else 1)
    third = exit_position(still, position, token=token, by="priya")
    assert third.pk == second.pk


def test_a_halt_does_not_keep_a_person_from_pressing_exit_again(still, held, paper, clock):
    position = held(3)
    switch.halt("PAPER", by="priya", reason="test", now=still.clock())
    paper.fault("place", "error_429", times=1)
    exit_position(still, position, token="form-a", by="priya")
    clock.advance(seconds=5.1)

    assert exit_position(still, position, token="form-a", by="priya").status == "OPEN"


def test_any_exit_that_the_broker_refused_can_be_made_again_by_the_same_form(still, held, paper, clock):
    position = held(3)
    paper.fault("place", "refuse_input", times=1)
    assert exit_position(still, position, token="form-a", by="priya").status == "REJECTED"
    clock.advance(seconds=0.1)

    assert exit_position(still, position, token="form-a", by="priya").status == "OPEN"


def test_the_same_form_of_an_order_that_is_no_exit_makes_no_second_one(still, wish, paper):
    paper.fault("place", "error_429", times=1)
    first = by_hand.place(still, wish(token="form-a"))

    assert by_hand.place(still, wish(token="form-a")).pk == first.pk


def test_a_person_s_exit_waits_while_the_one_that_was_turned_away_works_after_all(still, held, wish, paper, clock):
    position = held(3)
    paper.fault("place", "error_429_after", times=1)
    rests = wish(side=Side.SELL, quantity=3, limit_price=Decimal("1450.00"))
    assert by_hand.place(still, rests).was_turned_away

    with pytest.raises(NothingToExit, match="answered 429, and the broker shows it as OPEN"):
        exit_position(still, position, token="form-b", by="priya")

    clock.advance(seconds=1)
    reconcile(still)  # which takes it back
    clock.advance(seconds=1)
    reconcile(still)
    clock.advance(seconds=1)
    assert exit_position(still, position, token="form-b", by="priya").quantity == 3


def test_a_person_s_exit_that_was_filled_in_spite_of_its_429_is_not_made_again(still, held, paper, clock):
    position = held(3)
    placed = len(paper.accepted())
    paper.fault("place", "error_429_after", times=1)
    exit_position(still, position, token="form-a", by="priya")

    with pytest.raises(NothingToExit):
        exit_position(still, position, token="form-a", by="priya")

    assert len(paper.accepted()) == placed + 1


def test_without_a_book_nobody_knows_what_the_429_meant(still, held, paper, wired):
    position = held(3)
    paper.fault("place", "error_429", times=1)
    exit_position(still, position, token="form-a", by="priya")

    class Unreachable:
        def book(self, as_of):
            raise BrokerUnreachable("no route")

    with pytest.raises(NothingToExit, match="the broker's book cannot be read now"):
        exit_position(wired(still, gateway=Unreachable()), position, token="form-a", by="priya")


@pytest.mark.parametrize("lacks", ["a row that makes no sense", "an order that it should have"])
def test_a_book_that_is_not_complete_lets_no_person_exit_twice(still, held, wish, paper, wired, clock, lacks):
    position = held(3)
    paper.fault("place", "error_429_after", times=1)
    first = by_hand.place(still, wish(side=Side.SELL, quantity=3, limit_price=Decimal("1450.00")))
    clock.advance(seconds=6)

    class Incomplete:
        def book(self, as_of):
            told = still.gateway.book(as_of)
            if lacks == "a row that makes no sense":
                others = tuple(each for each in told.orders if each.tag != first.client_order_id)
                return replace(told, orders=others, unreadable=("a row",))
            return replace(told, orders=())

        def __getattr__(self, name):
            return getattr(still.gateway, name)

    with pytest.raises(NothingToExit, match="answered 429, and the broker's book is not complete"):
        exit_position(wired(still, gateway=Incomplete()), position, token="form-b", by="priya")

    assert len(paper.accepted()) == 2
    clock.advance(seconds=115)  # getting out always works: what filled by then shows in the broker's position
    assert exit_position(wired(still, gateway=Incomplete()), position, token="form-b", by="priya").quantity == 3


# --- Many cancels ----------------------------------------------------------------------------------------------------


class TenASecond:
    """A broker that turns away what comes after the tenth order or cancel of a second, and says when each came."""

    def __init__(self, gateway, clock, *, in_our_book_alone=False):
        self.gateway, self.clock, self.in_our_book_alone = gateway, clock, in_our_book_alone
        self.came, self.refused = [], 0

    def __getattr__(self, name):
        return getattr(self.gateway, name)

    def place(self, request, *, send_by):
        self._count()
        return self.gateway.place(request, send_by=send_by)

    def cancel(self, broker_order_id):
        self._count()
        if not self.in_our_book_alone:
            self.gateway.cancel(broker_order_id)

    def _count(self):
        now = self.clock()
        if sum(moment > now - timedelta(seconds=1) for moment in self.came) >= 10:
            self.refused += 1
            raise TooManyRequests("Too many requests")
        self.came.append(now)


@pytest.fixture
def many(desk, clock):
    """Let 25 orders rest, in our book alone."""
    Order.objects.bulk_create(
        Order(
            mode=desk.mode,
            client_order_id=f"RESTS{number}",
            broker_order_id=f"RESTS{number}",
            origin="MANUAL",
            exchange="NSE",
            symbol="INFY",
            side="BUY",
            product="CNC",
            order_type="LIMIT",
            quantity=1,
            price=Decimal(1390),
            status="OPEN",
            trading_date=desk.today(),
            created_at=clock(),
            submitted_at=clock() - timedelta(minutes=5),
        )
        for number in range(25)
    )


@pytest.fixture
def strict(still, clock, wired):
    return wired(still, gateway=TenASecond(still.gateway, clock, in_our_book_alone=True))


def test_25_cancels_at_once_keep_to_the_broker_s_second_and_all_of_them_arrive(still, wish, wired, clock):
    open_the_limits()
    for _ in range(25):
        by_hand.place(still, wish(symbol="INFY", limit_price=Decimal("1390.00")))
        clock.advance(seconds=0.2)
    clock.advance(seconds=1)
    strict = wired(still, gateway=TenASecond(still.gateway, clock))

    cancel_all(strict, by="priya", reason="enough")

    assert (len(strict.gateway.came), strict.gateway.refused) == (25, 0)
    assert clock.paused == [1, 1, 1]
    reconcile(strict)
    assert {order.status for order in Order.objects.all()} == {"CANCELLED"}


def test_the_tracker_keeps_to_it_and_sends_nothing_that_another_process_sent_meanwhile(strict, many, clock, wired):
    now = clock()
    for order in Order.objects.all():
        order.request_cancel(by="priya", reason="enough", at=now)
    left = [order.pk for order in Order.objects.order_by("pk")[:5]]  # the last in turn

    def others_are_at_it(seconds):
        clock.pause(seconds)
        Order.objects.filter(pk__in=left).update(cancel_tried_at=clock())

    carry_out_cancels(wired(strict, pause=others_are_at_it))

    assert len(strict.gateway.came) == 20
    assert strict.gateway.refused == 0


def test_an_exit_finds_room_beside_many_cancels(strict, held, many, clock):
    position = held(1)
    cancel_all(strict, by="priya", reason="enough")
    paused = len(clock.paused)

    order = exit_position(strict, position, token="out", by="priya")

    assert order.status == "OPEN"
    assert len(clock.paused) == paused
    assert strict.gateway.refused == 0


def test_a_cancel_goes_though_the_clock_stands(strict, many, wired):
    paused = []

    cancel_all(wired(strict, pause=paused.append), by="priya", reason="enough")

    assert len(strict.gateway.came) == 10
    assert strict.gateway.refused == 15  # asked for again by the tracker; none was left out
    assert len(paused) == 17
