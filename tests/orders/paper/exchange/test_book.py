"""Days, ids and restarts."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from orders.paper.errors import KiteRefusal
from orders.paper.exchange.events import ClockSet
from orders.paper.exchange.states import Status
from orders.paper.indian_time import IST
from orders.paper.market.sessions import ExchangeHours
from orders.paper.server.portfolio_wire import position_row

from .stage import MONDAY, TUESDAY, WEDNESDAY, Stage, fills


def test_a_day_order_is_gone_the_next_day(stage):
    order = stage.rest()

    stage.pass_time(TUESDAY)

    assert order.state.status is Status.CANCELLED
    assert list(stage.book.orders_of(TUESDAY.date())) == []
    with pytest.raises(KiteRefusal, match="404"):
        stage.cancel(order, TUESDAY)


def test_orders_and_trades_of_a_day_can_be_gone_through_while_others_are_placed(stage):
    placed = [stage.rest(), stage.place(), stage.place()]
    orders, trades = stage.book.orders_of(MONDAY.date()), stage.book.trades_of(MONDAY.date())
    begun = [next(orders), next(trades)]
    stage.place()

    assert [begun[0], *orders] == placed
    assert [trade.order for trade in (begun[1], *trades)] == placed[1:]


def test_an_old_order_cannot_fill_at_midnight(stage):
    order = stage.rest()

    stage.price("1300", TUESDAY)

    assert order.state.filled_quantity == 0


def test_the_day_is_mumbais(stage):
    before_midnight = datetime(2026, 11, 23, 23, 59, 59, tzinfo=IST)

    assert stage.rest(before_midnight).order_id.startswith("SIM20261123")
    assert stage.rest(before_midnight + timedelta(seconds=1)).order_id == "SIM20261124000001"


def test_a_clock_set_back_repeats_no_id(stage):
    ids = [stage.rest(moment).order_id for moment in (MONDAY, TUESDAY, MONDAY, TUESDAY)]

    assert len(set(ids)) == 4


def test_after_the_clock_was_set_back_days_pass_again(stage):
    """As when a server that runs on the machine's clock is told to rehearse a day of the past."""
    stage.pass_time(WEDNESDAY)
    stage.ledger.write(ClockSet(at=WEDNESDAY, moment=MONDAY, wall=WEDNESDAY))
    stage.place(MONDAY)
    assert stage.account.holdings() == []

    for one in (stage, stage.restarted()):
        one.pass_time(TUESDAY)
        (holding,) = one.account.holdings()
        assert (holding.opening_quantity, holding.t1_quantity) == (10, 10)
        assert one.account.net_positions() == []


def test_a_clock_set_back_within_the_day_or_forward_ends_no_day_twice(stage):
    stage.place(product="NRML")
    for moment in (MONDAY - timedelta(hours=1), TUESDAY, TUESDAY + timedelta(hours=1), MONDAY, TUESDAY):
        stage.ledger.write(ClockSet(at=stage.clock(), moment=moment, wall=MONDAY))
        stage.pass_time(stage.clock())

    (position,) = stage.account.net_positions()
    assert (position.quantity, position.overnight_quantity) == (10, 10)
    assert stage.account.opening == 1_000_000 - Decimal("17.82")  # once


def test_ended_orders_of_an_earlier_day_are_forgotten_and_working_ones_are_not(stage):
    done = stage.place()
    waiting = stage.rest()

    stage.ledger.roll_to(TUESDAY)

    assert done.order_id not in stage.book.orders
    assert waiting.order_id in stage.book.orders


def test_what_was_bought_yesterday_can_be_sold_today(stage):
    stage.place()

    order = stage.place(TUESDAY, transaction_type="SELL")

    assert order.state.status is Status.COMPLETE


def test_a_replayed_journal_is_the_same_book(stage):
    stage.place()
    resting = stage.rest()
    stage.modify(resting, price="1410")
    stage.place(product="MIS", transaction_type="SELL", order_type="SL-M", trigger_price="1480")

    replayed = stage.restarted()

    assert [order.history for order in replayed.book.orders.values()] == [
        order.history for order in stage.book.orders.values()
    ]
    assert list(replayed.book.working) == list(stage.book.working)
    assert replayed.ledger.blocked == stage.ledger.blocked
    assert replayed.account.funds(None, Decimal(0)) == stage.account.funds(None, Decimal(0))


@pytest.mark.parametrize("kept", [2, 3, 4])
def test_an_order_cut_off_in_the_middle_is_carried_on(stage, kept):
    order = stage.place()
    assert len(stage.record.lines) == 4  # the price, then accepted, opened, filled

    replayed = stage.restarted(kept)
    replayed.pass_time(MONDAY)

    assert replayed.book.orders[order.order_id].state.status is Status.COMPLETE


@pytest.mark.parametrize("kept", [2, 3])
def test_an_order_cut_off_in_the_middle_is_not_carried_into_another_day(stage, kept):
    stage.place()

    replayed = stage.restarted(kept)
    replayed.pass_time(TUESDAY)

    assert replayed.latest().state.status is Status.CANCELLED
    assert replayed.latest().trades == []


def test_an_after_market_order_whose_day_the_clock_jumped_over_never_goes_out():
    stage = Stage(sessions=ExchangeHours())
    order = stage.rest(MONDAY.replace(hour=8), variety="amo", price="1500")

    stage.pass_time(WEDNESDAY.replace(hour=5))

    assert (order.state.status, order.trades) == (Status.CANCELLED, [])
    assert order.state.reached_exchange_at is None


def test_an_ioc_cut_off_in_the_middle_does_not_rest(stage):
    order = stage.rest(validity="IOC")

    replayed = stage.restarted(-1)
    replayed.pass_time(MONDAY)

    assert replayed.book.orders[order.order_id].state.status is Status.CANCELLED


@pytest.mark.parametrize("kept", range(2, 8))
def test_an_iceberg_cut_off_anywhere_goes_on_and_repeats_no_leg(stage, kept):
    stage.place(variety="iceberg", order_type="LIMIT", price="1500", iceberg_legs=2, iceberg_quantity=5)

    replayed = stage.restarted(kept)
    replayed.pass_time(MONDAY)

    assert [fills(order) for order in replayed.book.orders.values()] == [[("1500.00", 5)], [("1500.00", 5)]]


def test_a_carried_position_is_overnight_at_its_cost(stage):
    # A market on which nothing is squared off at night: NRML is carried.
    stage.place(product="NRML")
    stage.price("1520", TUESDAY)
    stage.place(TUESDAY, product="NRML", quantity=4, transaction_type="SELL")

    (position,) = stage.account.net_positions()
    row = position_row(position, Decimal("1520.00"), Decimal("1510.00"))

    assert (row["quantity"], row["overnight_quantity"], row["day_sell_quantity"]) == (6, 10, 4)
    assert (row["average_price"], row["buy_value"], row["buy_m2m"]) == (1500.0, 15000.0, 15100.0)
    assert row["pnl"] == 10 * 20
    assert (row["realised"], row["unrealised"]) == (4 * 20, 6 * 20)
    assert row["m2m"] == 10 * 10
    assert position.today_alone().quantity == -4


def test_a_position_closed_yesterday_is_not_listed_today(stage):
    stage.place(product="MIS")
    stage.place(product="MIS", transaction_type="SELL")
    assert len(stage.account.net_positions()) == 1

    stage.pass_time(TUESDAY)

    assert stage.account.net_positions() == []


def test_a_position_that_turned_around_has_the_price_of_its_turn(stage):
    stage.place(product="NRML")
    stage.price("1600", MONDAY)
    stage.place(product="NRML", transaction_type="SELL", quantity=15)

    stage.ledger.roll_to(TUESDAY)

    (position,) = stage.account.net_positions()
    assert (position.overnight_quantity, position.overnight_price) == (-5, Decimal(1600))


def test_delivery_shares_become_holdings_and_settle(stage):
    stage.place()
    assert stage.account.holdings() == []

    stage.ledger.roll_to(TUESDAY)
    (holding,) = stage.account.holdings()
    assert (holding.opening_quantity, holding.t1_quantity, holding.settled_quantity) == (10, 10, 0)
    assert stage.account.net_positions() == []

    stage.ledger.roll_to(WEDNESDAY)
    assert (holding.opening_quantity, holding.t1_quantity, holding.settled_quantity) == (10, 0, 10)


def test_a_reset_goes_on_numbering_and_keeps_the_clock(stage):
    first = stage.place()

    stage.exchange.reset(MONDAY)

    assert list(stage.book.orders) == []
    assert stage.account.net_positions() == []
    stage.price("1500", MONDAY)
    assert stage.place().order_id > first.order_id


def test_a_journal_of_the_first_version_is_still_read():
    lines = [
        b'{"at":"2026-11-23T10:00:00+05:30","kind":"price.set","instrument":"NSE:INFY","price":"1500.00"}',
        (
            b'{"at":"2026-11-23T10:00:00+05:30","kind":"order.accepted","order_id":"SIM20261123000001","ticket":'
            b'{"exchange":"NSE","tradingsymbol":"INFY","side":"BUY","quantity":10,"product":"CNC","order_type":"MARKET",'
            b'"price":"0","validity":"DAY","market_protection":"-1","disclosed_quantity":0,"tag":"old"},'
            b'"hidden_until":null,"reject_at":null,"held":false}'
        ),
        b'{"at":"2026-11-23T10:00:00+05:30","kind":"order.opened","order_id":"SIM20261123000001"}',
        (
            b'{"at":"2026-11-23T10:00:00+05:30","kind":"order.filled","order_id":"SIM20261123000001",'
            b'"trade_number":10000001,"quantity":10,"price":"1500.00"}'
        ),
    ]

    stage = Stage(lines)

    assert fills(stage.latest()) == [("1500.00", 10)]
    assert stage.account.sellable(stage.latest().ticket.instrument) == 10
