"""What must hold whatever is traded."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from orders.paper.indian_time import trading_date
from orders.paper.market.instruments import INSTRUMENTS
from orders.paper.money.fills import Fill
from orders.paper.terms import Product, Side

from .test_worked_examples import CASH, MONDAY, account_of

TRADED = [INSTRUMENTS[key] for key in ("NSE:INFY", "NSE:SBIN", "BSE:INFY")]
trades = st.lists(
    st.tuples(
        st.sampled_from(TRADED),
        st.sampled_from([Product.CNC, Product.MIS, Product.NRML]),
        st.sampled_from(Side),
        st.integers(1, 500),
        st.decimals(1, 5000, places=2),
        st.integers(0, 4),
    ),
    max_size=25,
)


def played(account, wanted) -> Decimal:
    """Trade as far as delivery allows; return what all of it brought in less what it cost and was charged, INR."""
    flow = Decimal(0)
    for number, (instrument, product, side, quantity, price, day) in enumerate(sorted(wanted, key=lambda one: one[5])):
        at = MONDAY + timedelta(days=day)
        account.roll_to(trading_date(at))
        if product is Product.CNC and side is Side.SELL and quantity > account.sellable(instrument):
            continue
        charged = account.charged.total
        account.apply(
            Fill(
                order_id=str(number),
                instrument=instrument,
                product=product,
                side=side,
                quantity=quantity,
                price=price,
                at=at,
            )
        )
        flow += price * quantity * (1 if side is Side.SELL else -1)
        flow -= account.charged.total - charged
    return flow


@given(wanted=trades)
def test_when_everything_is_closed_the_cash_is_what_the_trades_brought(wanted):
    account = account_of(CASH)
    flow = played(account, wanted)
    closing = [
        (one.instrument, one.product, Side.SELL if one.quantity > 0 else Side.BUY, abs(one.quantity), Decimal(100), 4)
        for one in account.net_positions()
        if one.product is not Product.CNC and one.quantity
    ]
    closing += [
        (instrument, Product.CNC, Side.SELL, shares, Decimal(100), 4)
        for instrument in TRADED
        if (shares := account.sellable(instrument))
    ]

    flow += played(account, closing)
    account.roll_to(trading_date(MONDAY + timedelta(days=30)))

    assert account.holdings() == account.net_positions() == []
    # Average prices are not whole paise: what they lose is far below one.
    assert abs(account.available(Decimal(0)) - CASH - flow) < Decimal("1e-12")


@given(wanted=trades, blocked=st.decimals(0, 100_000, places=2))
def test_funds_add_up(wanted, blocked):
    account = account_of(CASH)
    played(account, wanted)

    funds = account.funds(lambda _: Decimal(100), blocked)

    assert funds.available == funds.opening + funds.payin - funds.debits
    # Average prices are not whole paise, and what is added to them is cut at 28 digits.
    assert abs(account.available(blocked) - account.available(Decimal(0)) + blocked) < Decimal("1e-12")


@given(wanted=trades)
def test_realised_and_unrealised_are_the_profit(wanted):
    account = account_of(CASH)
    played(account, wanted)

    for position in account.net_positions():
        last = Decimal("123.45")
        value = position.sold(position.overnight_price).value - position.bought(position.overnight_price).value
        unrealised = position.profit(last) - position.realised
        assert position.profit(last) == value + position.quantity * last
        assert abs(unrealised - position.quantity * (last - position.average_price)) < Decimal("1e-9")


@given(wanted=trades)
def test_positions_and_holdings_together_count_every_share_once(wanted):
    account = account_of(CASH)
    played(account, wanted)

    for instrument in TRADED:
        held = sum(one.opening_quantity for one in account.holdings() if one.instrument is instrument)
        position = account.position(instrument, Product.CNC)
        assert held + (position.quantity if position else 0) == account.sellable(instrument) >= 0
