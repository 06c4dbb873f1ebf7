"""What is refused before an order has an id, and what is rejected afterwards: each rule at its limit and past it."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from orders.paper.errors import KiteRefusal
from orders.paper.exchange.states import Status
from orders.paper.indian_time import IST
from orders.paper.market.sessions import ExchangeHours
from orders.paper.profile import RELAXED

from .stage import INFY, MONDAY, TUESDAY, Stage, statuses


def rejection(order):
    assert order.state.status is Status.REJECTED
    assert order.state.reached_exchange_at is None
    assert order.state.status_message_raw
    return order.state.status_message


def test_more_than_the_account_can_pay_is_rejected_with_both_amounts():
    stage = Stage(cash=Decimal(15_000))
    assert stage.rest(price="1500", quantity=10, order_type="LIMIT").state.status is Status.COMPLETE

    poorer = Stage(cash=Decimal("14999.99"))

    assert rejection(poorer.place(order_type="LIMIT", price="1500")) == (
        "Insufficient funds. Required margin is 15000.00 but available margin is 14999.99. "
        "Check the orderbook for open orders."
    )


def test_what_a_waiting_order_blocks_is_not_there_for_the_next():
    stage = Stage(cash=Decimal(20_000))
    waiting = stage.rest()
    assert stage.ledger.blocked == 14_000

    assert "available margin is 6000.00" in rejection(stage.rest())

    stage.cancel(waiting)
    assert stage.ledger.blocked == 0
    assert stage.rest().state.status is Status.OPEN


def test_an_intraday_order_needs_a_fifth():
    stage = Stage(cash=Decimal(3_000))

    assert stage.rest(price="1500", order_type="LIMIT", product="MIS").state.status is Status.COMPLETE
    assert Stage(cash=Decimal("2999.99")).place(product="MIS").state.status is Status.REJECTED


def test_closing_a_position_needs_no_money():
    stage = Stage(cash=Decimal(3_100))
    stage.place(product="MIS")

    assert stage.place(product="MIS", transaction_type="SELL").state.status is Status.COMPLETE


def test_a_growing_order_needs_the_money_for_its_growth():
    stage = Stage(cash=Decimal(20_000))
    order = stage.rest()

    with pytest.raises(KiteRefusal, match="Insufficient funds"):
        stage.modify(order, quantity=15)

    stage.modify(order, quantity=14)
    assert stage.ledger.blocked == 14 * 1400


def test_delivery_cannot_be_sold_short(stage):
    assert "Holding quantity: 0, required quantity: 10" in rejection(stage.place(transaction_type="SELL"))


def test_shares_on_sale_cannot_be_sold_again(stage):
    stage.place(quantity=10)
    stage.rest(transaction_type="SELL", quantity=6, price="1600")

    assert stage.rest(transaction_type="SELL", quantity=4, price="1600").state.status is Status.OPEN
    assert "Holding quantity: 0, required quantity: 1" in rejection(
        stage.rest(transaction_type="SELL", quantity=1, price="1600")
    )


def test_a_price_at_the_circuit_limit_is_taken_and_one_tick_beyond_is_not(stage):
    stage.price(None, MONDAY)
    lower, upper = stage.market.circuit(INFY, MONDAY)

    assert stage.rest(price=lower, quantity=1).state.status is Status.OPEN
    assert stage.rest(price=upper, quantity=1).state.status is Status.COMPLETE
    assert "upper circuit limit" in rejection(stage.rest(price=upper + INFY.tick_size, quantity=1))
    assert "lower circuit limit" in rejection(stage.rest(price=lower - INFY.tick_size, quantity=1))


def test_the_freeze_quantity_is_taken_and_one_share_more_is_not():
    stage = Stage(cash=Decimal(10**9))

    assert stage.rest(quantity=100_000).state.status is Status.OPEN
    assert "freeze quantity of 100000" in rejection(stage.rest(quantity=100_001))


@pytest.mark.parametrize(("side", "passed", "allowed"), [("BUY", "1500", "1500.10"), ("SELL", "1500", "1499.90")])
def test_a_stop_that_the_price_has_passed_is_refused(stage, side, passed, allowed):
    kind = {"order_type": "SL-M", "transaction_type": side, "product": "MIS"}

    with pytest.raises(KiteRefusal, match="last traded price"):
        stage.place(**kind, trigger_price=passed)

    assert stage.place(**kind, trigger_price=allowed).state.status is Status.TRIGGER_PENDING


def test_the_relaxed_profile_takes_a_stop_that_the_price_has_passed():
    stage = Stage(profile=RELAXED)

    order = stage.place(order_type="SL-M", trigger_price="1490")
    stage.pass_time(MONDAY)

    assert order.state.status is Status.COMPLETE


def at(hour: int, minute: int, second: int = 0, day: int = 23) -> datetime:
    return datetime(2026, 11, day, hour, minute, second, tzinfo=IST)


@pytest.mark.parametrize("moment", [at(9, 14, 59), at(15, 15), at(10, 0, day=24), at(10, 0, day=22)])
def test_outside_its_hours_the_market_takes_only_after_market_orders(moment):
    stage = Stage(sessions=ExchangeHours())

    with pytest.raises(KiteRefusal, match="Markets are closed right now"):
        stage.rest(moment)

    order = stage.rest(moment, variety="amo")
    assert statuses(order)[-1] == "AMO REQ RECEIVED"


def test_in_its_hours_the_market_takes_no_after_market_orders():
    stage = Stage(sessions=ExchangeHours())

    with pytest.raises(KiteRefusal, match="only while the market is closed"):
        stage.rest(at(9, 15), variety="amo")

    assert stage.rest(at(9, 15)).state.status is Status.OPEN
    assert Stage(sessions=ExchangeHours(), profile=RELAXED).rest(at(9, 15), variety="amo").due_at == at(9, 15, day=25)


def test_an_after_market_order_goes_out_when_the_market_opens():
    stage = Stage(sessions=ExchangeHours())
    order = stage.rest(at(8, 0), variety="amo", price="1500")

    stage.pass_time(at(9, 14, 59))
    assert order.state.status is Status.AMO_RECEIVED

    stage.pass_time(at(9, 15))
    assert order.state.status in (Status.OPEN, Status.COMPLETE)


def test_an_after_market_order_is_changed_and_taken_back_in_its_own_words():
    stage = Stage(sessions=ExchangeHours())
    order = stage.rest(at(8, 0), variety="amo")

    stage.modify(order, at(8, 1), price="1410")
    assert statuses(order)[-2:] == ["MODIFY AMO REQ RECEIVED", "AMO REQ RECEIVED"]
    assert order.state.price == 1410

    stage.cancel(order, at(8, 2))
    assert order.state.status is Status.CANCELLED


def test_a_day_order_ends_with_the_session():
    stage = Stage(sessions=ExchangeHours())
    order = stage.rest(at(15, 0))

    stage.pass_time(at(15, 14, 59))
    assert order.state.status is Status.OPEN

    stage.pass_time(at(15, 15))
    assert order.state.status is Status.CANCELLED


def test_intraday_positions_are_squared_off_by_the_broker():
    stage = Stage(sessions=ExchangeHours())
    stage.place(at(14, 0), product="MIS")
    waiting = stage.rest(at(14, 0), product="MIS")

    stage.pass_time(at(15, 9, 59))
    assert waiting.state.status is Status.OPEN

    stage.pass_time(at(15, 10))
    assert waiting.state.status is Status.CANCELLED
    closing = stage.latest()
    assert (closing.ticket.squares_off, str(closing.ticket.side), closing.state.status) == (
        True,
        "SELL",
        Status.COMPLETE,
    )
    # 50 INR and the GST on it, beside the usual brokerage of 0.03 %.
    assert stage.account.charged.brokerage == 50 + 2 * Decimal("4.50")

    with pytest.raises(KiteRefusal, match="not taken any more today"):
        stage.place(at(15, 10), product="MIS")


def test_a_position_is_squared_off_once_however_often_time_passes():
    stage = Stage(sessions=ExchangeHours())
    stage.place(at(14, 0), product="MIS")

    for second in range(5):
        stage.pass_time(at(15, 10, second))

    assert len(stage.book.orders) == 2


def test_where_the_market_never_closes_intraday_positions_end_with_their_day(stage):
    stage.place(product="MIS")
    stage.pass_time(TUESDAY.replace(hour=0) - timedelta(seconds=1))
    assert stage.account.net_positions()[0].quantity == 10

    stage.pass_time(TUESDAY.replace(hour=0))

    assert stage.account.net_positions()[0].quantity == 0
