"""An account in which every list has a row: for clients that are tested against an account in use."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from orders.paper.exchange.account_desk import AccountDesk
from orders.paper.exchange.exchange import Exchange
from orders.paper.exchange.tickets import NO_PRICE, Ticket
from orders.paper.indian_time import trading_date
from orders.paper.market.instruments import INSTRUMENTS
from orders.paper.terms import OrderType, Product, Side, Validity

HELD = ("NSE:SBIN", 10, Decimal("800.00"))  # shares and INR
TRADED = "NSE:INFY"
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
    """Give the account a holding, and for today a position, a trade and a waiting order, if it has none."""
    exchange.ledger.roll_to(now)
    key, shares, price = HELD
    if not exchange.account.holdings():
        AccountDesk(exchange).give_holding(INSTRUMENTS[key], shares, price, now)
    instrument = INSTRUMENTS[TRADED]
    if any(exchange.book.orders_of(trading_date(now))) or not exchange.market.sessions.is_open(instrument, now):
        return
    exchange.place(ONE, now)
    lower, _ = exchange.market.circuit(instrument, now)
    waiting = replace(ONE, product=Product.CNC, order_type=OrderType.LIMIT, price=lower, market_protection=NO_PRICE)
    exchange.place(waiting, now)
