"""Cover orders, icebergs, slices, GTTs, and changes to all of them."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from orders.paper.errors import KiteRefusal
from orders.paper.exchange import legs
from orders.paper.exchange.forms import read_ticket
from orders.paper.exchange.gtt_terms import GttOrder, GttTerms, GttType
from orders.paper.exchange.quirks import Quirks
from orders.paper.exchange.states import Status
from orders.paper.terms import OrderType, Product, Side

from .stage import INFY, MONDAY, TUESDAY, fills, statuses

SOON = MONDAY + timedelta(seconds=1)


def cover(stage, **changes):
    return stage.place(**{"variety": "co", "product": "MIS", "trigger_price": "1480"} | changes)


def test_a_filled_cover_order_is_followed_by_its_stop(stage):
    order = cover(stage)

    stop = stage.latest()
    assert (stop.ticket.parent_order_id, stop.ticket.product) == (order.order_id, Product.CO)
    assert (stop.ticket.side, stop.state.order_type, stop.state.trigger_price) == (
        Side.SELL,
        OrderType.SL_M,
        Decimal(1480),
    )
    assert stop.state.status is Status.TRIGGER_PENDING


def test_a_cover_orders_stop_closes_the_position(stage):
    cover(stage)

    stage.price("1479", SOON)

    assert fills(stage.latest()) == [("1479.00", 10)]
    assert stage.account.net_positions()[0].quantity == 0


@pytest.mark.parametrize("by", ["stop", "parent"])
def test_exiting_a_cover_order_closes_the_position_at_the_market(stage, by):
    parent = cover(stage)
    stop = stage.latest()

    stage.cancel(stop if by == "stop" else parent, SOON)

    assert stop.state.status is Status.COMPLETE
    assert stage.account.net_positions()[0].quantity == 0


def test_a_cover_order_that_is_cancelled_half_filled_keeps_its_stop_for_the_half(stage):
    stage.price("1500", MONDAY, sell=[("1500", 4)])
    parent = cover(stage, order_type="LIMIT", price="1500")

    stage.cancel(parent, SOON)

    assert parent.state.status is Status.CANCELLED
    assert stage.latest().ticket.quantity == 4


@pytest.mark.parametrize("changes", [{"product": "CNC"}, {"trigger_price": "1500"}, {"trigger_price": "1600"}])
def test_a_cover_order_that_covers_nothing_is_refused(stage, changes):
    with pytest.raises(KiteRefusal, match="400"):
        cover(stage, **changes)


def test_an_iceberg_shows_one_leg_after_another(stage):
    first = stage.place(
        variety="iceberg", quantity=25, order_type="LIMIT", price="1490", iceberg_legs=3, iceberg_quantity=9
    )
    assert [order.ticket.quantity for order in stage.book.orders.values()] == [9]

    stage.price("1490", SOON)

    assert first.state.status is Status.COMPLETE
    assert [order.ticket.quantity for order in stage.book.orders.values()] == [9, 9, 7]
    assert stage.latest().ticket.iceberg.leg == 3
    assert stage.account.net_positions()[0].quantity == 25


def test_a_cancelled_leg_ends_the_iceberg(stage):
    first = stage.rest(variety="iceberg", iceberg_legs=2, iceberg_quantity=5)

    stage.cancel(first)
    stage.price("1300", SOON)

    assert len(stage.book.orders) == 1


@pytest.mark.parametrize(
    ("quantity", "legs_wanted", "leg_quantity"),
    [(10, 1, 10), (100, 51, 2), (10, 2, 4), (10, 2, 6), (3, 4, 1)],
)
def test_an_iceberg_that_does_not_add_up_is_refused(stage, quantity, legs_wanted, leg_quantity):
    with pytest.raises(KiteRefusal, match="iceberg_"):
        stage.rest(variety="iceberg", quantity=quantity, iceberg_legs=legs_wanted, iceberg_quantity=leg_quantity)


@pytest.mark.parametrize(
    ("quantity", "parts"),
    [(100, [100]), (101, [100, 1]), (1000, [100] * 10)],
)
def test_a_large_order_is_sliced_at_the_freeze_quantity(quantity, parts):
    assert [part.quantity for part in legs.slices(large(quantity), 100)] == parts


def test_more_than_ten_slices_are_refused():
    with pytest.raises(KiteRefusal, match="more than 10 slices"):
        legs.slices(large(1001), 100)


def large(quantity):
    form = {
        "exchange": "NSE",
        "tradingsymbol": "INFY",
        "transaction_type": "BUY",
        "quantity": str(quantity),
        "product": "CNC",
        "order_type": "LIMIT",
        "price": "1500",
    }
    return read_ticket("regular", form)


def gtt(trigger_values, last_price="1500", **changes):
    order = {
        "exchange": "NSE",
        "tradingsymbol": "INFY",
        "side": Side.BUY,
        "quantity": 10,
        "order_type": OrderType.LIMIT,
        "product": Product.CNC,
        "price": Decimal(1500),
    } | changes
    return GttTerms(
        type=GttType.SINGLE if len(trigger_values) == 1 else GttType.TWO_LEG,
        exchange="NSE",
        tradingsymbol="INFY",
        trigger_values=tuple(Decimal(value) for value in trigger_values),
        last_price=Decimal(last_price),
        orders=tuple(GttOrder(**order) for _ in trigger_values),
    )


@pytest.mark.parametrize(("trigger", "short_of", "at_it"), [("1490", "1490.10", "1490"), ("1510", "1509.90", "1510")])
def test_a_gtt_places_its_order_when_the_price_reaches_it_from_its_side(stage, trigger, short_of, at_it):
    gtt_id = stage.gtts.place(gtt([trigger]), MONDAY)

    stage.price(short_of, SOON)
    assert list(stage.book.orders) == []

    stage.price(at_it, SOON)
    stage.pass_time(SOON)
    found = stage.gtts.find(gtt_id)
    assert found.status == "triggered"
    assert found.results[0].order_id == stage.book.last_order_id
    assert len(stage.book.orders) == 1


def test_one_leg_of_two_is_enough(stage):
    gtt_id = stage.gtts.place(gtt(["1450", "1550"]), MONDAY)

    stage.price("1550", SOON)
    stage.price("1450", SOON)

    assert list(stage.gtts.find(gtt_id).results) == [1]
    assert len(stage.book.orders) == 1


def test_a_gtt_whose_order_is_refused_says_why(stage):
    gtt_id = stage.gtts.place(gtt(["1490"], side=Side.SELL), MONDAY)

    stage.price("1490", SOON)

    order_id = stage.gtts.find(gtt_id).results[0].order_id
    assert stage.book.orders[order_id].state.status is Status.REJECTED


def test_a_gtt_outlives_the_day_and_a_restart_and_dies_after_a_year(stage):
    gtt_id = stage.gtts.place(gtt(["1400"]), MONDAY)
    again = stage.restarted()

    again.pass_time(MONDAY + timedelta(days=365) - timedelta(seconds=1))
    assert again.gtts.find(gtt_id).status == "active"

    again.pass_time(MONDAY + timedelta(days=365))
    assert again.gtts.find(gtt_id).status == "expired"


def test_a_deleted_gtt_is_not_found_and_does_nothing(stage):
    gtt_id = stage.gtts.place(gtt(["1400"]), MONDAY)

    stage.gtts.delete(gtt_id, MONDAY)
    stage.price("1400", SOON)

    assert list(stage.book.orders) == []
    with pytest.raises(KiteRefusal, match="404"):
        stage.gtts.find(gtt_id)


def test_a_modified_stop_waits_for_its_new_trigger(stage):
    order = stage.place(order_type="SL", trigger_price="1510", price="1512")

    stage.modify(order, trigger_price="1520", price="1525")
    assert statuses(order)[-4:] == ["MODIFY VALIDATION PENDING", "MODIFY PENDING", "MODIFIED", "TRIGGER PENDING"]

    stage.price("1515", SOON)
    assert order.state.status is Status.TRIGGER_PENDING
    stage.price("1520", SOON)
    assert order.state.status is Status.COMPLETE


def test_a_stop_made_a_limit_order_is_at_the_exchange_at_once(stage):
    order = stage.place(order_type="SL", trigger_price="1510", price="1512")

    stage.modify(order, order_type="LIMIT", price="1500")

    assert fills(order) == [("1500.00", 10)]


def test_an_order_cannot_be_made_smaller_than_what_has_filled(stage):
    stage.price("1500", MONDAY, sell=[("1500", 4)])
    order = stage.place(order_type="LIMIT", price="1500")

    with pytest.raises(KiteRefusal, match="4 of the order are filled"):
        stage.modify(order, quantity=4)

    stage.modify(order, quantity=5)
    assert order.state.pending_quantity == 1


def test_a_limit_order_made_immediate_ends_at_once(stage):
    order = stage.rest()

    stage.modify(order, validity="IOC")

    assert order.state.status is Status.CANCELLED


def test_a_cancelled_order_may_fill_before_it_is_gone(stage):
    order = stage.rest()

    stage.exchange.cancel(order.order_id, SOON, Quirks(fill_first=True))

    assert fills(order) == [("1400.00", 10)]


def test_a_change_may_be_answered_and_not_made(stage):
    order = stage.rest()

    stage.exchange.cancel(order.order_id, SOON, Quirks(ignored=True))

    assert order.state.status is Status.OPEN


def test_an_order_may_be_stuck_where_it_was_received(stage):
    order = stage.place(quirks=Quirks(stuck_for=timedelta(seconds=90)))
    assert statuses(order) == ["PUT ORDER REQ RECEIVED"]
    with pytest.raises(KiteRefusal, match="being processed"):
        stage.cancel(order)

    stage.pass_time(MONDAY + timedelta(seconds=89))
    assert order.state.status is Status.RECEIVED

    stage.pass_time(MONDAY + timedelta(seconds=90))
    assert statuses(order) == [
        "PUT ORDER REQ RECEIVED",
        "VALIDATION PENDING",
        "OPEN PENDING",
        "OPEN",
        "COMPLETE",
    ]


def test_an_order_may_fill_only_so_far_until_the_price_is_set(stage):
    order = stage.place(quirks=Quirks(fill_at_most=3))
    stage.pass_time(SOON)
    assert order.state.filled_quantity == 3

    stage.price("1500", SOON)

    assert order.state.filled_quantity == 10


def test_a_converted_position_is_delivery(stage):
    stage.place(product="MIS")

    stage.desk.convert(
        INFY,
        old_product=Product.MIS,
        new_product=Product.CNC,
        side=Side.BUY,
        quantity=10,
        overnight=False,
        now=SOON,
    )
    stage.ledger.roll_to(TUESDAY)

    assert [holding.opening_quantity for holding in stage.account.holdings()] == [10]
    assert stage.account.net_positions() == []


def test_more_than_there_is_cannot_be_converted_and_nothing_is_written(stage):
    stage.place(product="MIS")
    lines = len(stage.record.lines)

    with pytest.raises(KiteRefusal, match="10 open, 11 asked for"):
        stage.desk.convert(
            INFY,
            old_product=Product.MIS,
            new_product=Product.CNC,
            side=Side.BUY,
            quantity=11,
            overnight=False,
            now=SOON,
        )

    assert len(stage.record.lines) == lines
