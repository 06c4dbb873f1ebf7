"""Whatever is ordered on whatever market: the sums hold, and the journal brings back the same book."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from orders.paper.errors import KiteRefusal
from orders.paper.exchange.book import Order
from orders.paper.exchange.states import ENDED
from orders.paper.terms import Product, Side

from .stage import CASH, INFY, MONDAY, TUESDAY, Stage

prices = st.integers(13_600, 16_400).map(lambda tenths: f"{Decimal(tenths) / 10:.1f}")
steps = st.one_of(
    st.tuples(st.just("price"), prices, st.integers(0, 30)),
    st.tuples(
        st.just("place"),
        st.sampled_from(["BUY", "SELL"]),
        st.sampled_from(["CNC", "MIS", "NRML"]),
        st.sampled_from(["MARKET", "LIMIT", "SL", "SL-M"]),
        st.sampled_from(["DAY", "IOC"]),
        st.integers(1, 40),
        prices,
    ),
    st.tuples(st.just("modify"), st.integers(0, 9), st.integers(1, 50), prices),
    st.tuples(st.just("cancel"), st.integers(0, 9)),
)


@given(flow=st.lists(steps, min_size=1, max_size=25), cut=st.integers(1, 200))
@settings(max_examples=150, deadline=None)
def test_the_sums_hold_whatever_is_ordered_and_the_day_ends_every_order(flow, cut):
    stage = Stage()
    for number, step in enumerate(flow):
        take(stage, step, MONDAY + timedelta(seconds=number))
        check_sums(stage, MONDAY + timedelta(seconds=number))
    orders = list(stage.book.orders.values())
    check_restart(stage, cut)

    stage.pass_time(TUESDAY)

    assert all(order.state.status in ENDED for order in orders)
    assert stage.ledger.blocked == 0


def take(stage: Stage, step: tuple, at) -> None:
    try:
        match step:
            case ("price", price, shares):
                book = {"sell": [(price, shares)], "buy": [(price, shares)]} if shares else {}
                stage.price(price, at, **book)
            case ("place", side, product, kind, validity, quantity, price):
                named = {"price": price} if kind in ("LIMIT", "SL") else {}
                stage.place(
                    at,
                    transaction_type=side,
                    product=product,
                    order_type=kind,
                    validity=validity,
                    quantity=quantity,
                    trigger_price=price,
                    **named,
                )
            case ("modify", which, quantity, price):
                if (order := nth_working(stage, which)) is not None:
                    stage.modify(order, at, quantity=quantity, price=price)
            case ("cancel", which):
                if (order := nth_working(stage, which)) is not None:
                    stage.cancel(order, at)
    except KiteRefusal:
        pass  # a refusal changes nothing, which the sums show


def nth_working(stage: Stage, which: int) -> Order | None:
    working = stage.working()
    return working[which % len(working)] if working else None


def check_sums(stage: Stage, at) -> None:
    orders = list(stage.book.orders.values())
    for order in orders:
        assert order.state.filled_quantity == sum(trade.quantity for trade in order.trades) <= order.state.quantity
    assert stage.ledger.blocked == blocked_share_by_share(stage)
    trades = [trade for order in orders for trade in order.trades]
    assert len({trade.trade_id for trade in trades}) == len(trades)
    signed = [(trade, 1 if trade.order.ticket.side is Side.BUY else -1) for trade in trades]
    net = sum(position.quantity for position in stage.account.net_positions())
    assert net == sum(sign * trade.quantity for trade, sign in signed)
    # Cash and positions at the last price: what the trades paid, what is there, and what it cost.
    last = stage.market.last_price(INFY, at)
    worth = sum(position.profit(last) for position in stage.account.net_positions())
    paid = sum(sign * trade.quantity * trade.price for trade, sign in signed)
    assert worth == net * last - paid
    funds = stage.account.funds(None, stage.ledger.blocked)
    assert funds.opening + funds.payin - funds.debits == funds.available
    assert funds.opening == CASH
    depth = stage.market.depth(INFY, at)
    assert not depth.buy or not depth.sell or depth.buy[0].price <= depth.sell[0].price


def blocked_share_by_share(stage: Stage) -> Decimal:
    """Return what the working orders need: all shares, the oldest first, less those that close what is open."""
    shares: dict[tuple, list[Decimal]] = {}
    for order in stage.working():
        ticket = order.ticket
        if order.counted_at and not (ticket.product is Product.CNC and ticket.side is Side.SELL):
            queue = shares.setdefault((ticket.instrument.key, ticket.product, ticket.side), [])
            queue += [order.counted_at / (5 if ticket.product.intraday else 1)] * order.state.pending_quantity
    for position in stage.account.net_positions():
        if position.product is not Product.CNC:
            side = Side.SELL if position.quantity > 0 else Side.BUY
            del shares.get((position.instrument.key, position.product, side), [])[: abs(position.quantity)]
    return sum((sum(queue, Decimal(0)) for queue in shares.values()), Decimal(0))


def check_restart(stage: Stage, cut: int) -> None:
    again = stage.restarted()
    assert [order.history for order in again.book.orders.values()] == [
        order.history for order in stage.book.orders.values()
    ]
    assert again.ledger.blocked == stage.ledger.blocked
    assert again.account.funds(None, Decimal(0)) == stage.account.funds(None, Decimal(0))
    # Killed after any line: ids go on from there, and nothing of what was kept is different.
    part = stage.restarted(min(cut, len(stage.record.lines)))
    for order_id, order in part.book.orders.items():
        assert order.history == stage.book.orders[order_id].history[: len(order.history)]
    assert (
        part.rest(MONDAY + timedelta(minutes=5), price="1400", quantity=1).order_id not in list(part.book.orders)[:-1]
    )
