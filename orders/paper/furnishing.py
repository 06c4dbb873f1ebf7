"""An account in which every list has a row: for clients that are tested against an account in use."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from orders.paper.exchange.account_desk import AccountDesk
from orders.paper.exchange.events import Accepted
from orders.paper.exchange.exchange import Exchange
from orders.paper.exchange.tickets import NO_PRICE, Ticket
from orders.paper.indian_time import trading_date
from orders.paper.market.instruments import INSTRUMENTS
from orders.paper.terms import OrderType, Product, Side, Validity, Variety

HELD = ("NSE:SBIN", 10, Decimal("800.00"))  # shares and INR
ONE = Ticket(
    exchange="NSE",
    tradingsymbol="INFY",
    side=Side.BUY,
    quantity=1,
    product=Product.MIS,
    order_type=OrderType.MARKET,
    price=NO_PRICE,
    validity=Validity.DAY,
    market_protection=Decimal(-1),
    disclosed_quantity=0,
    tag=None,
)


def furnish(exchange: Exchange, now: datetime) -> None:
    """Give the account a holding, and for today a position, a trade and a waiting order, unless it has ordered."""
    exchange.ledger.roll_to(now)
    key, shares, price = HELD
    if not exchange.account.holdings():
        AccountDesk(exchange).give_holding(INSTRUMENTS[key], shares, price, now)
    today = trading_date(now)
    # One that was left for this morning was accepted on an earlier day, and has not traded.
    if any(trading_date(order.accepted_at) == today for order in exchange.book.orders_of(today)):
        return
    buy(exchange, now)
    leave_waiting(exchange, now)


def buy(exchange: Exchange, now: datetime) -> None:
    """Fill an order at any hour: the lists of the day are to have a row also while the market is shut."""
    cutoff = exchange.market.sessions.square_off_at(ONE.instrument, trading_date(now))
    # Past its hour an intraday position would be closed at once.
    ticket = ONE if cutoff is None or now < cutoff else replace(ONE, product=Product.CNC)
    order_id = exchange.book.next_order_id(now)
    exchange.ledger.write(Accepted(at=now, order_id=order_id, ticket=ticket))
    exchange.admit(exchange.book.orders[order_id], now)


def leave_waiting(exchange: Exchange, now: datetime) -> None:
    """Place an order far below the price, for the next morning where the market is shut."""
    market, instrument = exchange.market, ONE.instrument
    lower, _ = market.circuit(instrument, now)
    variety = Variety.REGULAR if market.sessions.is_open(instrument, now) else Variety.AMO
    waiting = replace(
        ONE,
        variety=variety,
        product=Product.CNC,
        order_type=OrderType.LIMIT,
        price=lower,
        market_protection=NO_PRICE,
    )
    exchange.place(waiting, now)
