"""A changed order obeys the rules that a new one does."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orders.paper.errors import KiteRefusal
from orders.paper.exchange.states import Status
from orders.paper.market.sessions import ExchangeHours

from .stage import INFY, MONDAY, Stage


def test_no_more_than_the_quantity_is_disclosed(stage):
    order = stage.rest(quantity=10)

    with pytest.raises(KiteRefusal, match="disclosed_quantity"):
        stage.modify(order, disclosed_quantity=11)

    stage.modify(order, disclosed_quantity=10)
    assert order.state.disclosed_quantity == 10


def test_an_order_does_not_become_smaller_than_what_it_discloses(stage):
    order = stage.rest(quantity=10, disclosed_quantity=5)

    with pytest.raises(KiteRefusal, match="disclosed_quantity"):
        stage.modify(order, quantity=4)

    stage.modify(order, quantity=5)
    stage.modify(order, quantity=4, disclosed_quantity=4)
    assert (order.state.quantity, order.state.disclosed_quantity) == (4, 4)


@pytest.mark.parametrize(
    "form",
    [
        {"order_type": "SL", "trigger_price": 1510, "price": 1512},
        {"order_type": "SL-M", "trigger_price": 1510},
        {"variety": "co", "product": "MIS", "trigger_price": 1300},
        {"variety": "iceberg", "iceberg_legs": 2, "iceberg_quantity": 5},
    ],
    ids=["SL", "SL-M", "CO", "iceberg"],
)
def test_what_is_not_placed_as_immediate_does_not_become_it(stage, form):
    order = stage.rest(**form)

    with pytest.raises(KiteRefusal, match="IOC is not for"):
        stage.modify(order, validity="IOC")

    assert order.working
    assert order.modifications == 0


def test_an_after_market_order_does_not_become_immediate():
    stage = Stage(sessions=ExchangeHours())
    evening = MONDAY.replace(hour=20)
    order = stage.rest(evening, variety="amo")

    with pytest.raises(KiteRefusal, match="IOC is not for"):
        stage.modify(order, evening, validity="IOC")

    assert order.state.status is Status.AMO_RECEIVED


def test_a_stop_that_was_triggered_may_become_immediate(stage):
    order = stage.place(order_type="SL", trigger_price=1510, price=1512)
    stage.price("1520", MONDAY)
    assert order.state.status is Status.OPEN

    stage.modify(order, validity="IOC")

    assert order.state.status is Status.CANCELLED


def test_minutes_to_live_are_counted_from_the_change_that_gave_them(stage):
    order = stage.rest(validity="TTL", validity_ttl=10)
    stage.modify(order, minutes(5), validity="TTL", validity_ttl=10)
    stage.modify(order, minutes(6), quantity=11)

    stage.pass_time(minutes(15) - timedelta(seconds=1))
    assert order.state.status is Status.OPEN

    stage.pass_time(minutes(15))
    assert order.state.status is Status.CANCELLED


def test_an_order_made_good_for_the_day_outlives_its_minutes(stage):
    order = stage.rest(validity="TTL", validity_ttl=10)
    stage.modify(order, minutes(5), validity="DAY")

    stage.pass_time(minutes(60))

    assert order.state.status is Status.OPEN


def test_a_restart_knows_when_the_minutes_are_over(stage):
    stage.modify(stage.rest(), minutes(5), validity="TTL", validity_ttl=10)
    again = stage.restarted()

    again.pass_time(minutes(15) - timedelta(seconds=1))
    assert again.latest().state.status is Status.OPEN

    again.pass_time(minutes(15))
    assert again.latest().state.status is Status.CANCELLED


def test_a_changed_price_of_an_iceberg_is_that_of_its_legs_to_come(stage):
    order = stage.rest(variety="iceberg", price=1490, iceberg_legs=2, iceberg_quantity=5)
    stage.modify(order, price=1480)

    stage.price("1480", MONDAY, sell=[("1480", 5)])

    assert order.state.status is Status.COMPLETE
    assert (stage.latest().state.status, stage.latest().state.price) == (Status.OPEN, 1480)


@pytest.mark.parametrize("named", [{}, {"order_type": "LIMIT"}])
def test_a_cover_order_that_waits_may_have_another_stop(stage, named):
    """Kite Connect v3, "Orders": of a cover order `price` and `trigger_price` can be modified."""
    order = stage.rest(variety="co", product="MIS", price=1490, trigger_price=1480)
    stage.modify(order, trigger_price=1470, **named)
    stage.modify(order, price=1489)

    stage.price("1489", MONDAY)

    stop = stage.latest()
    assert (stop.ticket.parent_order_id, stop.state.trigger_price) == (order.order_id, 1470)
    assert stop.state.status is Status.TRIGGER_PENDING


@pytest.mark.parametrize("trigger_price", [1490, 1491])
def test_a_changed_cover_order_still_covers(stage, trigger_price):
    order = stage.rest(variety="co", product="MIS", price=1490, trigger_price=1480)

    with pytest.raises(KiteRefusal, match="stoploss sell orders should be lower"):
        stage.modify(order, trigger_price=trigger_price)


@pytest.mark.parametrize(("side", "limit"), [("BUY", 1), ("SELL", 0)])
def test_a_wide_protection_ends_at_the_circuit_limit(stage, side, limit):
    stage.price(None, MONDAY)
    edge = stage.market.circuit(INFY, MONDAY)[limit]

    placed = stage.place(product="MIS", transaction_type=side, market_protection=100, quantity=1)
    changed = stage.rest(product="MIS", transaction_type=side, quantity=1, price=away(stage, side))
    stage.modify(changed, order_type="MARKET", market_protection=100)

    assert placed.state.price == changed.state.price == edge
    assert placed.state.status is Status.COMPLETE


def test_a_triggered_stop_with_wide_protection_ends_at_the_circuit_limit(stage):
    order = stage.place(order_type="SL-M", trigger_price=1510, market_protection=100)

    stage.price("1520", MONDAY, sell=[("1520", 1)])

    assert order.state.price == stage.market.circuit(INFY, MONDAY)[1]


@pytest.mark.parametrize(
    ("field", "taken", "refused"),
    [
        ("market_protection", "100", "100.01"),
        ("market_protection", "0.01", "-0.01"),
        ("market_protection", "-1", "-1.01"),
        ("disclosed_quantity", "10", "11"),
        ("quantity", "1", "0"),
    ],
)
def test_a_field_is_taken_at_its_limit_and_refused_past_it(stage, field, taken, refused):
    assert stage.place(**{field: taken}).state.status is Status.COMPLETE

    with pytest.raises(KiteRefusal, match=field):
        stage.place(**{field: refused})


@pytest.mark.parametrize(("taken", "refused"), [("1", "0"), ("360", "361")])
def test_minutes_to_live_are_one_to_a_session(stage, taken, refused):
    assert stage.rest(validity="TTL", validity_ttl=taken).state.status is Status.OPEN

    with pytest.raises(KiteRefusal, match="validity_ttl"):
        stage.rest(validity="TTL", validity_ttl=refused)
    with pytest.raises(KiteRefusal, match="validity_ttl"):
        stage.modify(stage.latest(), validity="TTL", validity_ttl=refused)


def minutes(count: int):
    return MONDAY + timedelta(minutes=count)


def away(stage: Stage, side: str):
    """Return a price at which an order of this side waits."""
    last = stage.market.last_price(INFY, MONDAY)
    return last - 20 * INFY.tick_size if side == "BUY" else last + 20 * INFY.tick_size
