"""What orders block, to the paisa, whatever becomes of them."""

from __future__ import annotations

import re
from contextlib import nullcontext
from datetime import timedelta
from decimal import Decimal

import pytest

from orders.paper.errors import KiteRefusal
from orders.paper.exchange.states import Status
from orders.paper.market.sessions import ExchangeHours
from orders.paper.terms import Product, Side

from .stage import INFY, MONDAY, WEDNESDAY, Stage, fills

EVENING = MONDAY.replace(hour=20)
MORNING = WEDNESDAY.replace(hour=9, minute=15)  # Tuesday is a holiday


def partly_filled(stage: Stage, **changes):
    """Return an order of ten at 1500 of which four have filled."""
    side = "sell" if changes.get("transaction_type", "BUY") == "BUY" else "buy"
    stage.price("1500", MONDAY, **{side: [("1500", 4)]})
    return stage.place(order_type="LIMIT", price="1500", **changes)


def test_a_partly_filled_order_needs_money_only_for_its_rest():
    stage = Stage(cash=Decimal(16_000))
    order = partly_filled(stage)

    stage.modify(order, price="1499")

    assert stage.ledger.blocked == 6 * 1499


def test_a_partly_filled_order_cannot_grow_beyond_the_money():
    short_of, enough = Stage(cash=Decimal(16_505)), Stage(cash=Decimal(16_510))  # four in ten cost 7.21 in charges

    with pytest.raises(KiteRefusal, match="Required margin is 10500"):
        short_of.modify(partly_filled(short_of), quantity=11)

    enough.modify(partly_filled(enough), quantity=11)
    assert enough.ledger.blocked == 7 * 1500


def test_the_rest_of_a_closing_order_still_needs_nothing_when_changed(stage):
    stage.place(product="MIS")
    order = partly_filled(stage, product="MIS", transaction_type="SELL")

    stage.modify(order, price="1510")

    assert stage.ledger.blocked == 0


def test_an_overdrawn_account_may_make_its_order_smaller():
    stage = Stage(cash=Decimal(20_000))
    order = stage.rest()
    stage.desk.add_funds(Decimal(-10_000), MONDAY)

    stage.modify(order, quantity=9)

    assert stage.ledger.blocked == 9 * 1400


@pytest.mark.parametrize(("side", "against", "price"), [("BUY", "SELL", 1600), ("SELL", "BUY", 1400)])
def test_a_position_is_closed_only_once_and_what_follows_opens_another(stage, side, against, price):
    """10 at 1,500 are open; each order of ten to close them is worth 16,000 or 14,000, of which a fifth is blocked."""
    stage.place(product="MIS", transaction_type=side)

    first = stage.rest(product="MIS", transaction_type=against, price=price)
    assert stage.ledger.blocked == 0
    stage.rest(product="MIS", transaction_type=against, price=price, quantity=4)
    assert stage.ledger.blocked == 4 * price / 5

    stage.cancel(first)
    assert stage.ledger.blocked == 0


@pytest.mark.parametrize(("cash", "status"), [("6210", Status.OPEN), ("6190", Status.REJECTED)])
def test_a_second_order_against_a_position_needs_money(cash, status):
    """The position takes 3,000 and 5.78 in charges, the second sale 3,200."""
    stage = Stage(cash=Decimal(cash))
    stage.place(product="MIS")

    stage.rest(product="MIS", transaction_type="SELL", price=1600)
    second = stage.rest(product="MIS", transaction_type="SELL", price=1600)

    assert second.state.status is status


def test_a_way_out_that_others_took_blocks_what_it_would_open(stage):
    stage.place(product="MIS")
    stage.rest(product="MIS", transaction_type="SELL", price=1600)

    stage.place(product="MIS", transaction_type="SELL")

    assert stage.ledger.blocked == 10 * 1600 / 5


def test_an_order_that_grows_pushes_a_younger_one_out_of_the_way_out(stage):
    stage.place(product="MIS")
    older = stage.rest(product="MIS", transaction_type="SELL", price=1600, quantity=5)
    stage.rest(product="MIS", transaction_type="SELL", price=1550, quantity=5)
    assert stage.ledger.blocked == 0

    stage.modify(older, quantity=8)

    assert stage.ledger.blocked == 3 * 1550 / 5


def test_orders_of_another_product_share_or_side_are_no_way_out(stage):
    stage.place(product="MIS")

    stage.rest(product="NRML", transaction_type="SELL", price=1600, quantity=1)
    stage.rest(product="MIS", transaction_type="SELL", price=1600, exchange="BSE", quantity=10)
    stage.rest(product="MIS", transaction_type="BUY", price=1400, quantity=10)

    assert stage.ledger.blocked == 1600 + 3200 + 2800


def test_when_the_closing_part_has_filled_the_opening_rest_blocks_its_full_margin(stage):
    """Short of 1, a buy of 3 at 1,500: two open, worth 3,000, and block 600 before and after the first has filled."""
    stage.place(product="MIS", transaction_type="SELL", quantity=1)
    stage.price("1500", MONDAY, sell=[("1501", 1)])
    order = stage.place(product="MIS", quantity=3, order_type="LIMIT", price="1500")
    assert stage.ledger.blocked == 600

    stage.price("1500", MONDAY, sell=[("1500", 1)])

    assert order.state.filled_quantity == 1
    assert stage.ledger.blocked == 600


def test_what_clients_reckon_in_floats_is_blocked_in_whole_paise_and_comes_back(stage):
    orders = [stage.rest(product="NRML", quantity=7, price="1383.3000000000002") for _ in range(3)]
    assert stage.ledger.blocked == 21 * Decimal("1383.3")

    for order in orders:
        stage.cancel(order)

    assert stage.ledger.blocked == 0


def test_an_older_journal_blocks_what_its_orders_prices_say(stage):
    stage.rest(quantity=7)
    stage.modify(stage.latest(), price=1390)
    stage.record.lines = [re.sub(rb',"counted_at":"[0-9.]+"', b"", line) for line in stage.record.lines]

    assert b"counted_at" not in b"".join(stage.record.lines)
    assert stage.restarted().ledger.blocked == 7 * 1390


@pytest.mark.parametrize(("cash", "taken"), [("17800", True), ("17750", False)])
def test_a_conversion_counts_the_orders_that_closed_the_position(cash, taken):
    """10 at 1,500 cost 3,000 and 5.78; as delivery 12,000 more, and the sale at 1,380 then opens: 2,760 more."""
    stage = Stage(cash=Decimal(cash))
    stage.place(product="MIS")
    stage.place(product="MIS", transaction_type="SELL", order_type="SL-M", trigger_price=1380)

    outcome = nullcontext() if taken else pytest.raises(KiteRefusal, match=r"Required margin is 14760\.00")
    with outcome:
        stage.desk.convert(
            INFY,
            old_product=Product.MIS,
            new_product=Product.CNC,
            side=Side.BUY,
            quantity=10,
            overnight=False,
            now=MONDAY,
        )

    assert stage.ledger.blocked == (2760 if taken else 0)


def test_an_after_market_order_may_sell_all_that_is_held():
    stage = Stage(sessions=ExchangeHours())
    stage.place()
    order = stage.rest(EVENING, variety="amo", transaction_type="SELL", price="1500")

    stage.pass_time(MORNING)

    assert fills(order) == [("1500.00", 10)]


@pytest.mark.parametrize(("quantity", "status"), [(10, Status.COMPLETE), (11, Status.REJECTED)])
def test_an_after_market_order_cannot_sell_more_than_is_held(quantity, status):
    stage = Stage(sessions=ExchangeHours())
    stage.place()
    order = stage.rest(EVENING, variety="amo", transaction_type="SELL", price="1500", quantity=quantity)

    stage.pass_time(MORNING)

    assert order.state.status is status


def test_two_after_market_orders_cannot_sell_the_same_shares():
    stage = Stage(sessions=ExchangeHours())
    stage.place()
    orders = [stage.rest(EVENING, variety="amo", transaction_type="SELL", price="1600", quantity=6) for _ in range(2)]

    stage.pass_time(MORNING)

    assert [order.state.status for order in orders] == [Status.OPEN, Status.REJECTED]


def test_an_after_market_order_is_judged_by_the_quantity_it_was_changed_to():
    stage = Stage(sessions=ExchangeHours(), cash=Decimal(20_000))
    order = stage.rest(EVENING, variety="amo", quantity=5)
    stage.modify(order, EVENING, quantity=14)

    stage.pass_time(MORNING)

    assert order.state.status is Status.OPEN
    assert stage.ledger.blocked == 14 * 1400


def test_the_twenty_fifth_change_is_taken_and_the_next_is_not(stage):
    order = stage.rest()
    for number in range(25):
        stage.modify(order, MONDAY + timedelta(seconds=number), quantity=11 + number)

    with pytest.raises(KiteRefusal, match="400"):
        stage.modify(order, quantity=9)

    assert order.state.quantity == 35
