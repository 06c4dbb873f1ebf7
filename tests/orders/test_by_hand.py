"""What a person does to the book: orders, exits, and fills recorded by hand."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from orders import by_hand
from orders.by_hand import (
    CloseRefused,
    HandFill,
    MarkRefused,
    NothingToExit,
    close_past_day,
    exit_position,
    mark_filled,
    place,
)
from orders.deciding import OrderDenied, UnknownInstrument
from orders.execution import cancel, halt
from orders.models import Decision, Fill, Order, Position
from orders.reconciliation import reconcile
from risk import control as switch
from risk.engine.facts import OrderType, Side
from risk.models import RiskSettings, TradingControl

from .stand_ins import BookGateway, report_of, trade_of
from .test_reconciliation import place_elsewhere

pytestmark = pytest.mark.usefixtures("noon")


def mark(**changes) -> HandFill:
    usual = {"token": "form-1", "quantity": 4, "price": Decimal("1390.00"), "by": "priya", "reason": "contract note 17"}
    return HandFill(**{**usual, **changes})


# --- Orders ----------------------------------------------------------------------------------------------------------


def test_a_persons_order_is_decided_sent_and_kept_with_its_author(desk, wish, paper):
    order = place(desk, wish())

    assert (order.origin, order.created_by, order.status) == ("MANUAL", "priya", "OPEN")
    assert (order.decision.actor, order.decision.outcome) == ("priya", "APPROVED")
    assert paper.accepted() == [order.broker_order_id]


def test_the_same_form_sent_again_is_the_same_order(desk, wish, paper):
    form = wish()

    first, second = place(desk, form), place(desk, form)

    assert first == second
    assert len(paper.accepted()) == 1


def test_another_form_is_another_order(desk, wish, paper):
    place(desk, wish())
    place(desk, wish())

    assert len(paper.accepted()) == 2


def test_a_denied_order_says_why_and_leaves_its_decision(desk, wish, paper):
    with pytest.raises(OrderDenied, match="ORDER_VALUE_EXCEEDED") as denied:
        place(desk, wish(quantity=4))  # 4 × 1,405.00 is above 5,000 INR

    decision = Decision.objects.get()
    assert denied.value.decision == decision
    assert (decision.outcome, decision.actor) == ("DENIED", "priya")
    assert {verdict["control"] for verdict in decision.verdicts if not verdict["passed"]} == {"ORDER_VALUE_EXCEEDED"}
    assert not Order.objects.exists()
    assert paper.journal() == []


def test_the_order_value_limit_is_passed_at_the_limit(desk, wish):
    RiskSettings.objects.update(order_value_max=Decimal("5200.00"))

    assert place(desk, wish(quantity=4, limit_price=Decimal("1300.00"))).status == "OPEN"


def test_a_form_that_was_denied_may_be_sent_again_when_it_may_pass(desk, wish, clock):
    form = wish()
    switch.reduce_only("PAPER", by="priya", reason="test", now=clock())
    with pytest.raises(OrderDenied, match="TRADING_REDUCE_ONLY"):
        place(desk, form)
    version = TradingControl.objects.get(mode="PAPER").version
    switch.resume("PAPER", by="priya", reason="test", now=clock(), version_shown=version)

    assert place(desk, form).status == "OPEN"


def test_an_unknown_symbol_is_named(desk, wish):
    with pytest.raises(UnknownInstrument, match="NSE:NOSUCHSHARE is not in the broker's list"):
        place(desk, wish(symbol="NOSUCHSHARE"))


def test_a_person_cannot_sell_more_than_is_held(desk, wish, held):
    held(2)

    with pytest.raises(OrderDenied, match="SHORT_NOT_ALLOWED: selling 3 when 2 are held"):
        place(desk, wish(side=Side.SELL, quantity=3, limit_price=Decimal("1395.00")))
    assert place(desk, wish(side=Side.SELL, quantity=2, limit_price=Decimal("1395.00"))).status == "OPEN"


# --- Exits -----------------------------------------------------------------------------------------------------------


def test_an_exit_sells_what_is_held_at_the_market(desk, held, paper):
    position = held(3)

    order = exit_position(desk, position, token="exit-1", by="priya")
    reconcile(desk)

    order.refresh_from_db()
    assert (order.side, order.quantity, order.order_type, order.is_exit) == ("SELL", 3, "MARKET", True)
    assert order.status == "FILLED"
    assert Position.objects.get().quantity == 0


def test_an_exit_works_while_trading_is_halted_and_another_order_does_not(desk, held, wish, paper):
    position = held(3)
    halt(desk, by="priya", reason="enough")

    for refused in (wish(), wish(side=Side.SELL, quantity=3, limit_price=Decimal("1395.00"))):
        with pytest.raises(OrderDenied, match="TRADING_HALTED"):
            place(desk, refused)
    order = exit_position(desk, position, token="exit-1", by="priya")
    reconcile(desk)

    order.refresh_from_db()
    assert order.status == "FILLED"


def test_an_exit_needs_a_position_read_from_the_broker_now(desk, held, paper):
    position = held(3)
    paper.fault("positions", "error_503", times=2)

    with pytest.raises(OrderDenied, match="BROKER_POSITION_STALE"):
        exit_position(desk, position, token="exit-1", by="priya")


def test_an_exit_sells_what_the_broker_still_holds(desk, held, paper):
    position = held(3)
    place_elsewhere(paper, transaction_type="SELL", quantity=1, price=1395.0)

    assert exit_position(desk, position, token="exit-1", by="priya").quantity == 2


def test_a_position_of_the_other_mode_is_not_exited(desk, held):
    position = held(3)
    Position.objects.update(mode="LIVE")

    with pytest.raises(NothingToExit, match="belongs to LIVE"):
        exit_position(desk, position, token="exit-1", by="priya")


def test_an_exit_works_when_nothing_may_be_opened_any_more(desk, held, in_doubt, paper, clock):
    position = held(3)
    in_doubt()
    switch.reduce_only("PAPER", by="priya", reason="test", now=clock())

    assert exit_position(desk, position, token="exit-1", by="priya").status == "OPEN"


def test_the_same_exit_sent_twice_sells_once(desk, held, paper):
    position = held(3)

    first = exit_position(desk, position, token="exit-1", by="priya")
    assert exit_position(desk, position, token="exit-1", by="priya") == first

    assert len(paper.accepted()) == 2  # the buy and one exit


def test_an_exit_asked_for_again_is_sent_though_its_process_died_before_it_was(desk, held, paper, monkeypatch):
    position = held(3)

    class Died(BaseException):
        pass

    def die(*_):
        raise Died

    with monkeypatch.context() as dying:
        dying.setattr(by_hand, "submit", die)
        with pytest.raises(Died):
            exit_position(desk, position, token="exit-1", by="priya")

    order = exit_position(desk, position, token="exit-1", by="priya")

    assert (order.status, len(paper.accepted())) == ("OPEN", 2)  # the buy and one exit


def test_a_second_exit_does_not_sell_what_the_first_is_selling(desk, held, paper):
    position = held(3)
    paper.fault("place", "hold_fill")
    exit_position(desk, position, token="exit-1", by="priya")

    with pytest.raises((OrderDenied, NothingToExit)):
        exit_position(desk, position, token="exit-2", by="arun")

    assert len(paper.accepted()) == 2


def test_an_exit_beside_a_sale_that_works_sells_the_rest(desk, held, wish):
    position = held(3)
    place(desk, wish(side=Side.SELL, limit_price=Decimal("1410.00")))

    order = exit_position(desk, position, token="t", by="priya")

    assert order.quantity == 2


def test_a_flat_position_is_nothing_to_exit(desk, held):
    position = held(3)
    exit_position(desk, position, token="exit-1", by="priya")
    reconcile(desk)

    with pytest.raises(NothingToExit, match="there is no open position in RELIANCE"):
        exit_position(desk, position, token="exit-2", by="priya")


# --- Marked as filled ------------------------------------------------------------------------------------------------


@pytest.fixture
def cancelled(desk, resting):
    """An order for ten that ended unfilled at the broker."""
    order = cancel(desk, resting(quantity=10), by="priya", reason="test")
    reconcile(desk)
    order.refresh_from_db()
    assert order.status == "CANCELLED"
    return order


def test_a_working_order_cannot_be_marked(desk, resting):
    with pytest.raises(MarkRefused, match="the broker shows it as OPEN: cancel it first, or wait for its end"):
        mark_filled(desk, resting(quantity=10), mark())

    assert not Fill.objects.exists()


def test_an_ended_order_can_and_the_fill_says_who_and_why(desk, cancelled):
    mark_filled(desk, cancelled, mark())

    assert (cancelled.status, cancelled.filled_quantity) == ("CANCELLED", 4)
    fill = Fill.objects.get()
    assert (fill.source, fill.quantity, fill.price) == ("HAND", 4, Decimal("1390.00"))
    assert (fill.recorded_by, fill.reason) == ("priya", "contract note 17")
    assert Position.objects.get().quantity == 4
    assert cancelled.events.filter(actor="priya", note="4 at 1390.00 marked as filled: contract note 17").exists()


def test_all_of_it_marked_is_filled(desk, cancelled):
    mark_filled(desk, cancelled, mark(quantity=10))

    assert cancelled.status == "FILLED"


def test_never_more_than_the_order_is_for(desk, cancelled):
    with pytest.raises(MarkRefused, match="the order is for 10 in all, and 11 were reported"):
        mark_filled(desk, cancelled, mark(quantity=11))

    mark_filled(desk, cancelled, mark(quantity=10))

    assert Position.objects.get().quantity == 10


def test_two_people_who_report_the_same_shares_do_not_add_up(desk, cancelled):
    mark_filled(desk, cancelled, mark(quantity=4, price=Decimal("1390.00")))
    mark_filled(desk, cancelled, mark(token="form-2", quantity=4, price=Decimal("1391.00"), by="arjun"))

    assert (cancelled.filled_quantity, cancelled.average_price) == (4, Decimal("1391.00"))
    assert Position.objects.get().quantity == 4
    assert [fill.recorded_by for fill in Fill.objects.order_by("pk")] == ["priya", "arjun"]


def test_what_was_marked_later_replaces_the_first_statement_and_is_never_less(desk, cancelled):
    mark_filled(desk, cancelled, mark(quantity=4))
    mark_filled(desk, cancelled, mark(token="form-2", quantity=6))
    with pytest.raises(MarkRefused, match=r"6 in all were marked before, .* adjust the position instead"):
        mark_filled(desk, cancelled, mark(token="form-3", quantity=5))

    assert (cancelled.filled_quantity, Position.objects.get().quantity) == (6, 6)


def test_the_same_form_sent_again_counts_once(desk, cancelled):
    mark_filled(desk, cancelled, mark())
    mark_filled(desk, cancelled, mark())

    assert Fill.objects.count() == 1
    assert Position.objects.get().quantity == 4


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"quantity": 0}, "at least one share"),
        ({"quantity": -1}, "at least one share"),
        ({"price": Decimal(0)}, "above zero"),
        ({"price": Decimal("-1")}, "above zero"),
        ({"price": Decimal("NaN")}, "above zero"),
        ({"price": Decimal("Infinity")}, "above zero"),
        ({"price": Decimal(10**13)}, "worth more"),
        ({"reason": ""}, "say why"),
        ({"reason": "  "}, "say why"),
    ],
)
def test_a_fill_by_hand_needs_a_quantity_a_price_and_a_reason(desk, cancelled, changes, reason):
    with pytest.raises(MarkRefused, match=reason):
        mark_filled(desk, cancelled, mark(**changes))

    assert not Fill.objects.exists()


@pytest.mark.parametrize(("route", "fault"), [("orders", "drop_before"), ("trades", "error_503"), ("orders", "token")])
def test_without_the_brokers_book_nothing_is_marked(desk, cancelled, paper, route, fault):
    paper.fault(route, fault)

    with pytest.raises(MarkRefused, match="the broker's book cannot be read now"):
        mark_filled(desk, cancelled, mark())


@pytest.mark.parametrize("status", ["PENDING", "SUBMITTING", "WITHDRAWN"])
def test_what_was_never_at_the_broker_cannot_be_marked(desk, pending, status):
    order = pending()
    Order.objects.filter(pk=order.pk).update(status=status)

    with pytest.raises(MarkRefused, match="it was never at the broker"):
        mark_filled(desk, order, mark(quantity=1))


def test_an_order_in_doubt_that_the_book_does_not_show_can_be_marked(desk, in_doubt):
    order = in_doubt()

    mark_filled(desk, order, mark(quantity=1))

    assert (order.status, order.filled_quantity) == ("FILLED", 1)


@pytest.mark.parametrize("status", ["NOT_PLACED", "REJECTED"])
def test_a_part_marked_of_an_order_that_is_over_does_not_bring_it_to_life(desk, resting, wired, status):
    """Nothing is at the broker that could still fill, so nothing would ever end it."""
    order = resting(quantity=10)
    Order.objects.filter(pk=order.pk).update(status=status, broker_order_id="")
    order.refresh_from_db()

    mark_filled(wired(desk, gateway=BookGateway()), order, mark())

    assert order.filled_quantity == 4
    assert not order.is_unfinished


def test_a_part_marked_is_no_evidence_of_what_became_of_an_order_in_doubt(desk, resting, wired, clock):
    order = resting(quantity=10)
    Order.objects.filter(pk=order.pk).update(status="IN_DOUBT", broker_order_id="")
    order.refresh_from_db()
    there = wired(desk, gateway=BookGateway())

    mark_filled(there, order, mark())
    assert (order.status, order.filled_quantity) == ("IN_DOUBT", 4)
    clock.advance(seconds=125)
    reconcile(there)
    clock.advance(seconds=1)
    reconcile(there)

    order.refresh_from_db()
    assert (order.status, order.filled_quantity) == ("NOT_PLACED", 4)


def test_the_brokers_own_trades_replace_what_was_marked(desk, cancelled, wired):
    mark_filled(desk, cancelled, mark(price=Decimal("1300.00")))
    broker = BookGateway(
        orders=[report_of(cancelled, "CANCELLED")],
        trades=[trade_of(cancelled, "T1", 3, "1390.00"), trade_of(cancelled, "T2", 3, "1384.00")],
    )

    reconcile(wired(desk, gateway=broker))

    cancelled.refresh_from_db()
    assert (cancelled.filled_quantity, cancelled.average_price) == (6, Decimal("1387.00"))
    position = Position.objects.get()
    assert (position.quantity, position.average_price) == (6, Decimal("1387.00"))
    assert Fill.objects.count() == 3  # what was marked is kept, and does not count any more


def test_an_order_of_another_mode_cannot_be_marked(desk, cancelled, wired):
    with pytest.raises(MarkRefused):
        mark_filled(wired(desk, mode="LIVE"), cancelled, mark())


def test_what_was_marked_can_be_exited(desk, resting, cancelled, wired, clock, paper):
    """Bought in the broker's app against our order: the position is real, and the exit goes by both books."""
    place_elsewhere(paper, quantity=4)
    mark_filled(desk, cancelled, mark())
    clock.advance(seconds=1)

    order = exit_position(desk, Position.objects.get(), token="exit-1", by="priya")

    assert (order.quantity, order.status) == (4, "OPEN")


# --- Closed after its day --------------------------------------------------------------------------------------------


@pytest.fixture
def of_yesterday(desk, pending):
    """An order of the day before today, in the status that is asked for, which the broker's book does not show."""

    def make(status):
        order = pending()
        yesterday = order.trading_date - timedelta(days=1)
        Order.objects.filter(pk=order.pk).update(status=status, trading_date=yesterday)
        order.refresh_from_db()
        return order

    return make


@pytest.mark.parametrize(
    ("status", "end"),
    [
        ("IN_DOUBT", "NOT_PLACED"),
        ("SUBMITTING", "CANCELLED"),
        ("OPEN", "CANCELLED"),
        ("PARTIALLY_FILLED", "CANCELLED"),
    ],
)
def test_an_unfinished_order_of_a_past_day_is_closed_by_a_person_with_a_reason(desk, of_yesterday, status, end):
    order = of_yesterday(status)

    close_past_day(desk, order, by="priya", reason="not in the contract note")

    assert order.status == end
    assert order.events.last().actor == "priya"
    assert order.status_reason == "its day is over; closed by hand: not in the contract note"


@pytest.mark.parametrize("status", ["FILLED", "CANCELLED", "REJECTED", "NOT_PLACED", "WITHDRAWN"])
def test_a_finished_order_is_not_closed_once_more(desk, of_yesterday, status):
    order = of_yesterday(status)

    with pytest.raises(CloseRefused, match="there is nothing to close"):
        close_past_day(desk, order, by="priya", reason="test")

    order.refresh_from_db()
    assert order.status == status


def test_an_order_of_today_is_not_closed_by_hand(desk, in_doubt):
    order = in_doubt()

    with pytest.raises(CloseRefused, match="it is of today: the broker's book will say how it ended"):
        close_past_day(desk, order, by="priya", reason="test")


def test_nothing_is_closed_without_a_reason(desk, of_yesterday):
    with pytest.raises(CloseRefused, match="say why"):
        close_past_day(desk, of_yesterday("IN_DOUBT"), by="priya", reason=" ")


def test_nothing_is_closed_while_the_broker_shows_it_as_working_or_shows_nothing(desk, of_yesterday, wired, paper):
    order = of_yesterday("IN_DOUBT")

    with pytest.raises(CloseRefused, match="the broker shows it as OPEN"):
        close_past_day(
            wired(desk, gateway=BookGateway(orders=[report_of(order, "OPEN")])), order, by="priya", reason="test"
        )
    paper.fault("orders", "error_503")
    with pytest.raises(CloseRefused, match="cannot be read now"):
        close_past_day(desk, order, by="priya", reason="test")


def test_an_order_closed_by_hand_holds_nothing_up_any_more(desk, of_yesterday, wish):
    order = of_yesterday("IN_DOUBT")
    with pytest.raises(OrderDenied, match="ORDER_IN_DOUBT"):
        place(desk, wish())

    close_past_day(desk, order, by="priya", reason="not in the contract note")

    assert place(desk, wish()).status == "OPEN"


# --- What a person's orders are held to ------------------------------------------------------------------------------


def test_a_market_order_by_hand_is_valued_at_the_end_of_the_collar(desk, wish):
    at_market = {"order_type": OrderType.MARKET, "limit_price": None}

    with pytest.raises(OrderDenied, match=r"ORDER_VALUE_EXCEEDED: order value 5768.00 INR"):
        place(desk, wish(quantity=4, **at_market))  # 4 × 1,400.00 × 1.03
    assert place(desk, wish(quantity=3, **at_market)).status == "OPEN"


def test_a_position_that_was_read_before_the_last_fill_is_not_fresh(desk, held, wish, wired, clock):
    """The broker's position was asked for, then the book moved: the sale waits for a newer reading."""
    held(3)

    class Moving:
        def __getattr__(self, name):
            return getattr(desk.gateway, name)

        def positions(self):
            net = desk.gateway.positions()
            Order.objects.get().events.create(
                at=clock() + timedelta(seconds=1), actor="x", before="OPEN", after="FILLED"
            )
            return net

    with pytest.raises(OrderDenied, match="BROKER_POSITION_STALE"):
        place(wired(desk, gateway=Moving()), wish(side=Side.SELL, quantity=3, limit_price=Decimal("1395.00")))
