"""Fills become quantities, statuses and positions: the same whatever order they are recorded in."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orders.average_cost import Restated, Scaled, Traded, net_of, realised_on
from orders.ledger import settle, take_broker_id
from orders.models import Fill, Position
from risk.engine.facts import Side

BUY, SELL = Side.BUY, Side.SELL
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def traded(trades, *, at=NOON):
    return [Traded(at=at, side=side, quantity=shares, price=Decimal(price)) for side, shares, price in trades]


@pytest.mark.parametrize(
    ("trades", "quantity", "average", "realised"),
    [
        ([], 0, "0", "0"),
        ([(BUY, 10, "100")], 10, "100", "0"),
        ([(BUY, 10, "100"), (BUY, 30, "120")], 40, "115", "0"),
        ([(BUY, 10, "100"), (SELL, 4, "110")], 6, "100", "40"),
        ([(BUY, 10, "100"), (SELL, 10, "90")], 0, "0", "-100"),
        ([(BUY, 10, "100"), (SELL, 15, "110")], -5, "110", "100"),
        ([(SELL, 10, "100")], -10, "100", "0"),
        ([(SELL, 10, "100"), (SELL, 10, "90")], -20, "95", "0"),
        ([(SELL, 10, "100"), (BUY, 4, "90")], -6, "100", "40"),
        ([(SELL, 10, "100"), (BUY, 15, "90")], 5, "90", "100"),
        ([(BUY, 10, "100"), (SELL, 10, "110"), (BUY, 1, "500")], 1, "500", "100"),
        ([(BUY, 1, "0.05"), (SELL, 1, "0.10")], 0, "0", "0.05"),
    ],
)
def test_a_position_is_its_trades_by_average_cost(trades, quantity, average, realised):
    net = net_of(traded(trades))

    found = (net.quantity, net.average_price, net.realised_pnl)
    assert found == (quantity, Decimal(average), Decimal(realised))


TRADES = st.lists(
    st.tuples(
        st.sampled_from(Side), st.integers(1, 500), st.integers(1, 1_000_000).map(lambda paise: Decimal(paise) / 100)
    ),
    max_size=25,
)


@given(trades=TRADES)
def test_the_quantity_is_what_was_bought_less_what_was_sold(trades):
    net = net_of(traded(trades))

    assert net.quantity == sum(shares if side == BUY else -shares for side, shares, _ in trades)


@given(trades=TRADES)
def test_no_rupee_appears_or_gets_lost(trades):
    """What was realised and what the rest cost is, together, what was paid and received."""
    net = net_of(traded(trades))

    received = sum((shares * price if side == SELL else -shares * price for side, shares, price in trades), Decimal(0))
    assert abs(net.realised_pnl - (received + net.quantity * net.average_price)) < Decimal("1e-12")


@given(trades=TRADES)
def test_a_flat_position_costs_nothing_and_an_open_one_something(trades):
    net = net_of(traded(trades))

    assert (net.average_price == 0) == (net.quantity == 0)


@given(trades=TRADES)
def test_a_share_at_a_time_makes_no_difference(trades):
    one_by_one = [(side, 1, price) for side, shares, price in trades for _ in range(min(shares, 20))]
    at_once = [(side, min(shares, 20), price) for side, shares, price in trades]

    split, whole = net_of(traded(one_by_one)), net_of(traded(at_once))

    assert split.quantity == whole.quantity
    assert abs(split.average_price - whole.average_price) < Decimal("1e-12")
    assert abs(split.realised_pnl - whole.realised_pnl) < Decimal("1e-12")


@pytest.fixture
def fill(desk):
    """Record an execution of an order, so many seconds after it was made, without settling."""
    numbers = itertools.count(1)

    def record(order, quantity, price="1400.00", source="BROKER", after=0.0):
        at = order.created_at + timedelta(seconds=after)
        return Fill.objects.create(
            order=order, mode=order.mode, exchange=order.exchange, broker_order_id=order.broker_order_id or "SIM1",
            trade_id=f"T{next(numbers)}", trading_date=order.trading_date, quantity=quantity, price=Decimal(price),
            filled_at=at, source=source, recorded_at=at,
        )  # fmt: skip

    return record


def settled(order, desk):
    settle(order, now=desk.clock(), actor="broker")
    order.refresh_from_db()
    return order.status, order.filled_quantity


def test_fills_make_an_order_partially_filled_then_filled(resting, fill, desk):
    order = resting(quantity=10)

    fill(order, 4, "1390.00")
    assert settled(order, desk) == ("PARTIALLY_FILLED", 4)
    fill(order, 6, "1380.00")
    assert settled(order, desk) == ("FILLED", 10)

    assert order.average_price == Decimal("1384.00")
    position = Position.objects.get()
    assert (position.quantity, position.average_price) == (10, Decimal("1384.00"))


def test_settling_again_changes_nothing(resting, fill, desk):
    order = resting(quantity=10)
    fill(order, 4)
    settled(order, desk)
    events = order.events.count()

    assert settled(order, desk) == ("PARTIALLY_FILLED", 4)

    assert order.events.count() == events


def test_a_trade_listed_after_the_cancel_counts(resting, fill, desk):
    order = resting(quantity=10)
    order.advance("CANCELLED", at=desk.clock(), note="asked")

    fill(order, 4)

    assert settled(order, desk) == ("CANCELLED", 4)
    assert Position.objects.get().quantity == 4
    fill(order, 6)
    assert settled(order, desk) == ("FILLED", 10)


@pytest.mark.parametrize(
    ("hand", "broker", "counted", "average"),
    [
        ([], [(4, "1400")], 4, "1400"),
        ([(4, "1300")], [], 4, "1300"),
        ([(4, "1300")], [(4, "1400")], 4, "1400"),
        ([(4, "1300")], [(6, "1400")], 6, "1400"),
        ([(10, "1300")], [(4, "1400")], 10, "1340"),
        ([(2, "1300"), (6, "1360")], [(3, "1400")], 6, "1380"),
        ([(6, "1360"), (6, "1300")], [], 6, "1300"),
    ],
)
def test_fills_by_hand_count_only_for_what_the_brokers_lack(resting, fill, desk, hand, broker, counted, average):
    order = resting(quantity=10)

    for quantity, price in hand:
        fill(order, quantity, price, source="HAND")
    for quantity, price in broker:
        fill(order, quantity, price)
    settled(order, desk)

    assert (order.filled_quantity, order.average_price) == (counted, Decimal(average))
    assert Position.objects.get().quantity == counted


@pytest.mark.parametrize("sequence", list(itertools.permutations(["buy", "sell", "more"])))
def test_the_book_is_the_same_in_whatever_order_fills_are_recorded(resting, fill, desk, sequence):
    first = resting(quantity=10)
    orders = {"buy": first, "more": resting(quantity=10), "sell": resting(quantity=10)}
    orders["sell"].__class__.objects.filter(pk=orders["sell"].pk).update(side="SELL")
    terms = {"buy": (10, "100", 0), "more": (10, "120", 60), "sell": (5, "150", 120)}

    for name in sequence:
        orders[name].refresh_from_db()
        quantity, price, after = terms[name]
        fill(orders[name], quantity, price, after=after)
        settled(orders[name], desk)

    position = Position.objects.get()
    assert (position.quantity, position.average_price, position.realised_pnl) == (15, Decimal(110), Decimal(200))


def test_what_was_realised_follows_the_order_of_the_fills_and_not_of_the_orders(resting, fill, desk):
    """An old BUY that fills after a SELL did not make that SELL any better."""
    slow, quick, sale = resting(), resting(), resting()
    sale.__class__.objects.filter(pk=sale.pk).update(side="SELL")
    sale.refresh_from_db()
    for order, price, after in [(quick, "110", 60), (sale, "120", 120), (slow, "100", 180)]:
        fill(order, 1, price, after=after)
        settled(order, desk)

    position = Position.objects.get()

    assert (position.realised_pnl, position.average_price) == (Decimal(10), Decimal(100))


def test_settling_an_uneven_average_again_changes_nothing(resting, fill, desk):
    order = resting(quantity=10)
    fill(order, 1, "100")
    fill(order, 2, "101")
    settled(order, desk)
    events = order.events.count()

    settled(order, desk)

    assert order.events.count() == events


def test_large_positions_keep_every_paisa(resting, fill, desk):
    """Rounded to four places, the average alone would be ₹3.33 off here."""
    order = resting(quantity=10)
    order.__class__.objects.filter(pk=order.pk).update(quantity=100_000)
    order.refresh_from_db()
    fill(order, 33_333, "100.0001")
    fill(order, 66_667, "100.0002")
    settled(order, desk)

    position = Position.objects.get()

    assert position.cost == 33_333 * Decimal("100.0001") + 66_667 * Decimal("100.0002")
    assert abs(position.cost - position.average_price * position.quantity) > Decimal("1")


@pytest.mark.parametrize("first", [0, 1])
def test_fills_of_one_second_count_in_the_same_order_however_they_are_recorded(resting, fill, desk, first):
    buy, sale = resting(quantity=10), resting(quantity=20)
    sale.__class__.objects.filter(pk=sale.pk).update(side="SELL")
    sale.refresh_from_db()
    fill(buy, 10, "100")
    settled(buy, desk)
    parts = [("A1", "110"), ("A2", "120")]
    at = sale.created_at + timedelta(seconds=60)

    for trade_id, price in [parts[first], parts[1 - first]]:
        Fill.objects.create(
            order=sale, mode=sale.mode, exchange="NSE", broker_order_id="SIM2", trade_id=trade_id, quantity=10,
            trading_date=sale.trading_date, price=Decimal(price), filled_at=at, source="BROKER", recorded_at=at,
        )  # fmt: skip
        settled(sale, desk)

    position = Position.objects.get()
    assert (position.quantity, position.average_price, position.realised_pnl) == (-10, Decimal(120), Decimal(100))


def test_the_fills_of_an_order_that_turns_out_to_be_ours_count_at_once(resting, pending, fill, desk):
    """The book lists them already: no later reading would settle them."""
    ours, stranger = pending(), resting()
    stranger.__class__.objects.filter(pk=stranger.pk).update(origin="EXTERNAL", broker_order_id="SIM77")
    stranger.refresh_from_db()
    fill(stranger, 1, "1400")
    settled(stranger, desk)

    take_broker_id(ours, "SIM77", now=desk.clock())

    assert (ours.status, ours.filled_quantity, Position.objects.get().quantity) == ("FILLED", 1, 1)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(Side), st.integers(1, 500), st.integers(1, 10**10)),
        st.tuples(st.just("SCALE"), st.integers(1, 6), st.integers(1, 3)),
        st.tuples(st.just("RESTATE"), st.integers(-300, 300), st.integers(1, 10**10)),
    ),
    max_size=25,
)


def as_steps(rows):
    """Return the rows as steps, eight hours apart."""
    made = []
    for number, (kind, first, second) in enumerate(rows):
        at = NOON + timedelta(hours=8 * number)
        if kind == "SCALE":
            made.append(Scaled(at=at, new=first, old=second))
        elif kind == "RESTATE":
            made.append(Restated(at=at, quantity=first, price=Decimal(second) / 10_000))
        else:
            made += traded([(kind, first, Decimal(second) / 10_000)], at=at)
    return made


def plainly(steps):
    """Recompute with fractions, a share at a time for what closes: quantity, cost, realised, realised by date."""
    quantity, average, realised, days = 0, Fraction(0), Fraction(0), {}
    for step in steps:
        day = (step.at + timedelta(hours=5, minutes=30)).date()
        gained = Fraction(0)
        if isinstance(step, Restated):
            quantity, average = step.quantity, Fraction(step.price) if step.quantity else Fraction(0)
        elif isinstance(step, Scaled):
            shares = int(Fraction(quantity * step.new, step.old))
            gained = -quantity * average if shares == 0 else Fraction(0)
            average = quantity * average / shares if shares else Fraction(0)
            quantity = shares
        else:
            sign, price = (1 if step.side == BUY else -1), Fraction(step.price)
            for _ in range(step.quantity):
                if quantity * sign < 0:
                    gained += sign * (average - price)
                else:
                    average = (average * abs(quantity) + price) / (abs(quantity) + 1)
                quantity += sign
                average = average if quantity else Fraction(0)
        realised += gained
        days[day] = days.get(day, Fraction(0)) + gained
    return quantity, quantity * average, realised, days


@settings(max_examples=150, deadline=None)
@given(rows=STEPS)
def test_trades_and_adjustments_come_to_what_a_plain_recomputation_says(rows):
    steps = as_steps(rows)

    net, (quantity, cost, realised, days) = net_of(steps), plainly(steps)

    assert net.quantity == quantity
    assert abs(Fraction(net.cost) - cost) < Fraction(1, 10**9)
    assert abs(Fraction(net.realised_pnl) - realised) < Fraction(1, 10**9)
    for day, gained in days.items():
        assert abs(Fraction(realised_on(steps, day)) - gained) < Fraction(1, 10**9)
    assert net.unrealised_pnl(Decimal(7)) == 7 * net.quantity - net.cost
